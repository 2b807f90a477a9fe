import {spawnSync} from 'node:child_process'
import path from 'node:path'
import {pathToFileURL} from 'node:url'
import {describe, expect, test} from 'vitest'

const repository = path.resolve(import.meta.dirname, '../../..')
const source = pathToFileURL(path.join(repository, 'src/lib/output/stderr.ts')).href

/** What a process of its own writes to stderr when it says `text` in each way. */
const said = (
  verbosity: string,
  subject: string,
  text: string,
  redirection = '',
): {status: number | null; stderr: string} => {
  const script = `
    import {Speaker} from ${JSON.stringify(source)}
    const speaker = new Speaker(${JSON.stringify(verbosity)}, ${JSON.stringify(subject)})
    for (const way of ['fault', 'warn', 'detail']) speaker[way](${JSON.stringify(text)}.replace('WAY', way))`
  const command = `exec node --import tsx --input-type module --eval "$SCRIPT" ${redirection}`
  const {NODE_OPTIONS: _, NODE_EXTRA_CA_CERTS: __, ...env} = process.env
  const options = {cwd: repository, env: {...env, SCRIPT: script}, encoding: 'utf8'} as const
  const {status, stderr} = spawnSync('sh', ['-c', command], options)
  return {status, stderr}
}

describe('a speaker', () => {
  test.each([
    ['quiet', ['fault']],
    ['normal', ['fault', 'warn']],
    ['verbose', ['fault', 'warn', 'detail']],
  ])('that is %s says so much, of its subject', (verbosity, ways) => {
    expect(said(verbosity, 'nightly', 'WAY').stderr).toBe(
      ways.map((way) => `leash: nightly: ${way}\n`).join(''),
    )
  })

  test('says one line, whatever the text has in it', () => {
    const {stderr} = said('quiet', 'a\u001b[2J', 'first\nsecond\u202e')
    expect(stderr).toBe(String.raw`leash: a\x1b[2J: first\nsecond\u{202e}` + '\n')
  })

  test('says nothing endless', () => {
    expect(said('quiet', '', 'x'.repeat(5000)).stderr).toHaveLength('leash: \n'.length + 2000)
  })

  test('does not mind that nobody listens', () => {
    expect(said('verbose', '', 'WAY', '2>/dev/full')).toEqual({status: 0, stderr: ''})
    expect(said('verbose', '', 'WAY', '2>&-')).toEqual({status: 0, stderr: ''})
  })
})
