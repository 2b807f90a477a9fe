import {execFile, execFileSync} from 'node:child_process'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {promisify} from 'node:util'
import fc from 'fast-check'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {shellWord} from '../../../src/lib/shellWord.ts'
import {assignments, failureForEval} from '../../../src/lib/output/shellWords.ts'

const run = promisify(execFile)

/** Where scripts/debian-setup has put the shells. One that is missing fails its tests. */
const programs = resolve(import.meta.dirname, '../../../.cache/shells/bin')
const shells = [
  ['bash'],
  // History expansion; patterns of more kinds, and words that go away when they match no file.
  ['bash', '-H'],
  ['bash', '-O', 'extglob', '-O', 'nullglob'],
  ['dash'],
  ['zsh', '-f'],
  ['busybox', 'ash'],
]

/** What shells, patterns, expansions, printf and encodings give a meaning to. */
const hostilePieces = [
  ...'\'"\\`$!*?[](){}~#&|;<>=%^@+-., :/',
  ...[
    '  ',
    ' * ',
    '$(id)',
    '${HOME}',
    '`id`',
    '$$',
    '!!',
    '!-1',
    '%s',
    '%n',
    '\\0',
    '\\052',
    '\\n',
    "'\\''",
    '--',
  ],
  ...[
    '-n',
    '-e',
    '~root',
    '@(a)',
    '!(x)',
    '+(a)',
    "$'a'",
    ';LEASH_LOCK=x;',
    '\\',
    "'",
    'é',
    'e\u0301',
    '日本',
    '🙂',
  ],
  ...['\u2028', '\u00a0', '\u200d', '\u{10ffff}', '👩‍👩‍👧', '\ufeff', 'a', 'B', '7', ' '],
]
const hostileText = fc.string({
  unit: fc.oneof(
    fc.constantFrom(...hostilePieces),
    fc.string({unit: 'grapheme', minLength: 1, maxLength: 1}),
  ),
  maxLength: 40,
})
const isName = (text: string) => !/\p{Cc}|\p{Cs}/u.test(text) && Buffer.byteLength(text) <= 200
const seed = Math.floor(Math.random() * 2 ** 31)
const values = [
  ...[
    '',
    ' ',
    'a * b',
    "it's",
    '-n',
    '--',
    '[',
    '[{"name":"a","fence":"7"}]',
    "'",
    "''",
    '\\',
    '\\\\',
    '!(x)',
  ],
  ...hostilePieces,
  '\t tab \t',
  `${'long '.repeat(4000)}  *`,
  'x'.repeat(20_000),
  ...fc.sample(hostileText.filter(isName), {numRuns: 1000, seed}),
]

/** Everything lies about in it that a pattern could find and an evaluation would obey. */
let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'leash-shells-'))
  for (const name of ["';LEASH_LOCK=taken;'", "';", "LEASH_LOCK='", 'LEASH_LOCK=x;', 'a', 'x', '*', '\\'])
    writeFileSync(join(directory, name), '')
  writeFileSync(join(directory, 'lines'), values.map((value) => lineFor(value)).join(''))
})
afterAll(() => rmSync(directory, {recursive: true}))

const lineFor = (value: string) => assignments({LEASH_HANDLE: '/x y', LEASH_LOCK: value}, ['LEASH_LOCKS'])

/** What a script writes in a shell, in pieces that NUL ends. One process reads all lines, and forks at most. */
const written = async (
  [name = '', ...options]: readonly string[],
  script: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<string[]> => {
  const {stdout} = await run(join(programs, name), [...options, '-c', script], {
    cwd: directory,
    env: {PATH: '/usr/bin:/bin', ...environment},
    encoding: 'buffer',
    maxBuffer: 64 * 1024 * 1024,
  })
  return stdout.toString().split('\0').slice(0, -1)
}

/** The values that came out, where they are not those that went in. */
const changed = (came: readonly string[]) =>
  values.flatMap((value, index) =>
    came[index] === value ? [] : [{value, line: lineFor(value), came: came[index]}],
  )

const evaluateEach = (evaluation: string) => `
  while IFS= read -r line; do
    LEASH_LOCK=old LEASH_LOCKS=old
    ${evaluation}
    printf '%s\\000' "$LEASH_LOCK\${LEASH_LOCKS-}"
  done <lines`

describe.each(shells.map((words) => ({shell: words.join(' '), words})))('$shell', ({words}) => {
  describe.for([
    {when: 'as it starts', before: '', LC_ALL: 'C.UTF-8'},
    {when: 'after set -e', before: 'set -e; ', LC_ALL: 'C'},
  ])('$when, in locale $LC_ALL, takes every value byte for byte', ({before, LC_ALL}) => {
    test.for([
      ['in quotes', `eval "$(printf '%s\\n' "$line")"`],
      ['without quotes, among files of evil names', `eval $(printf '%s\\n' "$line")`],
    ])('%s', async ([, evaluation = '']) => {
      const came = await written(words, before + evaluateEach(evaluation), {LC_ALL})
      expect(changed(came), `seed ${seed}`).toEqual([])
      expect(came).toHaveLength(values.length)
    })
  })

  test('takes every word byte for byte', async () => {
    const lines = values.map((value) => `printf '%s\\000' ${shellWord(value)}\n`).join('')
    writeFileSync(join(directory, 'words'), lines)
    expect(changed(await written(words, '. ./words')), `seed ${seed}`).toEqual([])
  })

  test('exports what it sets', async () => {
    const line = assignments({LEASH_HANDLE: '/h', LEASH_LOCK: "a 'b'"}, [])
    const script = `eval "$LINE"; sh -c 'printf "%s\\000" "$LEASH_HANDLE" "$LEASH_LOCK"'`
    expect(await written(words, script, {LINE: line})).toEqual(['/h', "a 'b'"])
  })

  test.for(['eval "$(printf %s "$LINE")"', 'eval $(printf %s "$LINE")'])(
    'fails as leash did: %s',
    async (evaluation) => {
      const LINE = failureForEval(75)
      const status = `${evaluation}; printf '%s\\000' $?`
      expect(await written(words, status, {LINE})).toEqual(['75'])
      await expect(written(words, `set -e; ${status}`, {LINE})).rejects.toMatchObject({
        code: 75,
        stdout: Buffer.from(''),
      })
    },
  )
})

test('a line is one line, without blanks in a row and without anything that could be a pattern', () => {
  for (const value of values) expect(lineFor(value)).toMatch(/^(?:[^ \t\n*?[]| (?! ))+\n$/)
})

test('a value with newlines arrives in quotes, also those at its end', () => {
  const script = `eval "$LINE"; printf '%s.' "$A"`
  const env = {PATH: '/usr/bin:/bin', LINE: assignments({A: 'a * b\n\n'}, [])}
  expect(execFileSync('/bin/sh', ['-c', script], {env}).toString()).toBe('a * b\n\n.')
})

test('writes a plain word as it is, and only what there is to write', () => {
  expect(shellWord('/etc/leash/leash.env')).toBe('/etc/leash/leash.env')
  expect(shellWord("it's")).toBe(String.raw`'it'\''s'`)
  expect(assignments({A: 'x', B: ''}, ['C', 'D'])).toBe("A=x; B=''; export A B; unset C D\n")
  expect(assignments({A: 'a  b'}, [])).toBe(String.raw`A=$(printf 'a\040\040b'); export A` + '\n')
  expect(assignments({}, ['C'])).toBe('unset C\n')
  expect(failureForEval(75)).toBe('(exit 75)\n')
})
