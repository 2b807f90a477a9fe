import {hostname} from 'node:os'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, test} from 'vitest'
import {type CandidateFlags, electionRequest, proposalOf} from '../../../src/lib/config/electionRequest.ts'
import {loadSettings} from '../../../src/lib/config/settings.ts'
import type {LockRequest} from '../../../src/lib/core/lock.ts'
import {electionKeys, rawLockKeys} from '../../../src/lib/core/lockName.ts'
import {refusal, TemporaryWorld} from './temporaryWorld.ts'

const mostBytes = 512 * 1024
const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('utf8')

const request = (flags: Partial<CandidateFlags> = {}, name = 'api'): LockRequest => {
  using world = new TemporaryWorld()
  const settings = loadSettings({endpoints: 'a:1', prefix: 'p/'}, world)
  return electionRequest(name, {'no-wait': false, 'raw-key': false, ...flags}, settings)
}

/** The path of a file with these bytes, while the action goes on. */
const withFile = <T>(bytes: Uint8Array, action: (path: string) => T): T => {
  using world = new TemporaryWorld()
  const path = join(world.root, 'value')
  writeFileSync(path, bytes)
  return action(path)
}

describe('a candidate', () => {
  test('stands in the election of its name, below the prefix', () => {
    expect(request({}, 'a/b').locks).toEqual([electionKeys('p/', 'a/b')])
  })

  test('stands where other programs do with --raw-key', () => {
    expect(request({'raw-key': true}, '/my/app').locks).toEqual([rawLockKeys('/my/app')])
  })

  test('waits as it is told', () => {
    expect(request({wait: '3s'}).wait).toEqual({kind: 'upTo', ms: 3000})
    expect(request({'no-wait': true}).wait).toEqual({kind: 'none'})
  })

  test('is refused without a name', () => {
    expect(refusal(() => request({}, ''))).toMatchObject({
      code: 'usage',
      message: 'the election name is empty',
    })
  })
})

describe('its proposal', () => {
  test('is the name of its host if it says nothing', () => {
    expect(text(request().proposal)).toBe(hostname())
  })

  test.each([[''], ['größe:80 '], ['🙂']])('is %j as it was given, in UTF-8', (value) => {
    expect(text(request({value}).proposal)).toBe(value)
    expect(text(proposalOf({value}))).toBe(value)
  })

  test('is what is in the file, whatever that is', () => {
    const bytes = Uint8Array.of(0, 0xff, 10, 0xc3)
    withFile(bytes, (file) => {
      expect(Buffer.from(request({'value-file': file}).proposal ?? [])).toEqual(Buffer.from(bytes))
    })
  })

  test('may have 512 KiB, and not a byte more', () => {
    const most = new Uint8Array(mostBytes)
    withFile(most, (file) => expect(proposalOf({'value-file': file})).toHaveLength(mostBytes))
    expect(proposalOf({value: 'v'.repeat(mostBytes)})).toHaveLength(mostBytes)
    withFile(new Uint8Array(mostBytes + 1), (file) =>
      expect(refusal(() => proposalOf({'value-file': file}))).toEqual({
        code: 'usage',
        message: `the file ${JSON.stringify(file)} is 524289 bytes long, and 524288 is the most`,
        wayOut: 'propose where the rest is to be found',
      }),
    )
    expect(refusal(() => proposalOf({value: 'ü'.repeat(mostBytes / 2 + 1)})).message).toBe(
      'the value is 524290 bytes long, and 524288 is the most',
    )
  })

  test('is refused if it is text that is no UTF-8, with the way in which bytes may be given', () => {
    expect(refusal(() => proposalOf({value: 'a\ufffdb'}))).toEqual({
      code: 'usage',
      message: 'the value is not valid UTF-8',
      wayOut: 'give any bytes with --value-file',
    })
  })

  test('is refused if its file cannot be read, with the reason', () => {
    using world = new TemporaryWorld()
    const missing = join(world.root, 'missing')
    expect(refusal(() => proposalOf({'value-file': missing})).message).toBe(
      `the file ${JSON.stringify(missing)} with the value cannot be read: ENOENT`,
    )
    expect(refusal(() => proposalOf({'value-file': world.root})).message).toMatch(/cannot be read: EISDIR$/)
  })

  test('must be there to be proclaimed', () => {
    expect(refusal(() => proposalOf({}))).toEqual({
      code: 'usage',
      message: 'there is no value to proclaim',
      wayOut: 'give --value TEXT, or --value-file PATH',
    })
  })
})
