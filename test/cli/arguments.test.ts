import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {fixture, leash} from './support/leash.ts'

let etcd: EtcdServer
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
})
afterAll(() => etcd[Symbol.asyncDispose]())

const job = fixture('arguments.pl')

/** What the job was given when leash was called so. */
const given = async (...args: string[]): Promise<string[]> => {
  const {status, stdout, stderr} = await leash(args, {env: {LEASH_ENDPOINTS: etcd.url}})
  expect({status, stderr}).toEqual({status: 0, stderr: ''})
  return stdout.split('\0').slice(0, -1)
}

describe('the job gets its arguments byte by byte', () => {
  test.each<[string, string[]]>([
    ['none', []],
    ['repeated words', ['a', 'b', 'a', 'a']],
    ['a double hyphen in front', ['--', 'a']],
    ['double hyphens inside', ['a', '--', '--', 'b', '--']],
    [
      'options that look like ours',
      ['-v', '-l', 'other', '--help', '-n', '-h', '--version', '--explain', '-E', '3'],
    ],
    ['options that oclif knows', ['--json', '--no-color', '--color', '--flags-dir', '/nowhere']],
    ['spaces', [' ', 'a b', '  leading and trailing  ']],
    ['empty strings', ['', 'a', '', '']],
    [
      'what a shell would expand',
      ['*', '?', '~', '$HOME', '`id`', '$(id)', '{a,b}', '!!', '&', '|', '>', ';', '#'],
    ],
    ['quotes and backslashes', [`'`, `"`, '\\', `it's "so"`, '\\n', "$'x'"]],
    ['newlines, tabs and controls', ['\n', 'a\nb\n', '\t', '\r', '\u001b[31m', '\u0001\u007f']],
    ['text beyond ASCII', ['größe', '日本', '🙂', 'e\u0301', '\u202e', '\ufeff', '\ufffd']],
    ['10,000 bytes', ['x'.repeat(10_000), 'é'.repeat(5_000)]],
    ['assignments', ['A=b', '=', '-l=x']],
    ['a lone hyphen', ['-']],
  ])('%s', async (_, args) => {
    expect(await given('run', '-l', 'argv', '--', job, ...args)).toEqual(args)
    expect(await given('run', '-l', 'argv', job, ...args)).toEqual(args)
  })

  test('an argument that is not UTF-8 is refused, as it could not be handed on unchanged', async () => {
    const bytes = ['sh', '-c', String.raw`exec "$@" "$(printf 'caf\351')"`, 'sh']
    const options = {env: {LEASH_ENDPOINTS: etcd.url}, through: bytes}
    const {status, stdout, stderr} = await leash(['run', '-l', 'argv', job], options)
    expect({status, stdout}).toEqual({status: 64, stdout: ''})
    expect(stderr).toBe(
      'leash: argv: the argument "caf\ufffd" of the command is not valid UTF-8, and leash could not hand it on unchanged; put the command into a script\n',
    )
  })
})

describe('a name that begins with a hyphen', () => {
  test.each<[string, string[]]>([
    ['is the value of -l', ['run', '-l', '-x', '--']],
    ['of an election stands behind a double hyphen of its own', ['campaign', '--', '-x', '--']],
    ['of an election may be an option, too', ['campaign', '--', '--rejoin', '--']],
  ])('%s', async (_, words) => {
    expect(await given(...words, job, 'a', '--', '-b')).toEqual(['a', '--', '-b'])
  })

  test.each([
    ['run', '--with-lock=--shared', 'true'],
    ['run', '-l', '-v1', 'true'],
    ['campaign', 'x', '--value=-v1', '--', 'true'],
  ])('is refused as the value of an option if it may be one itself: %s %s %s', async (...args) => {
    const {status, stderr} = await leash(args, {env: {LEASH_ENDPOINTS: etcd.url}})
    expect(status).toBe(64)
    expect(stderr).toMatch(/^leash: flag --[a-z-]+ expects a value; see "leash [a-z]+ --help"\n$/)
  })
})

describe('our options end at the first operand', () => {
  test.each<[string, string[]]>([
    ['short', ['-l', 'x']],
    ['attached', ['-lx']],
    ['with an equals sign', ['--with-lock=x']],
    ['in a cluster', ['-nqlx']],
    ['with a value that looks like an operand', ['-l', 'run', '-w', '5', '-s', 'INT']],
    ['with a double hyphen', ['-l', 'x', '--']],
  ])('%s', async (_, options) => {
    expect(await given('run', ...options, job, '-l', 'y', '-v', '--', 'z')).toEqual([
      '-l',
      'y',
      '-v',
      '--',
      'z',
    ])
  })

  test("a command named like one of our commands is the user's", async () => {
    const {status, stderr} = await leash(['run', '-l', 'x', 'run', '--help'], {
      env: {LEASH_ENDPOINTS: etcd.url, PATH: ''},
    })
    expect({status, stderr}).toEqual({
      status: 127,
      stderr: 'leash: x: command "run" was not found; check the name and PATH\n',
    })
  })
})
