import {chmodSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {scratchDirectory} from '../support/scratch.ts'
import {Sentry} from './support/Sentry.ts'
import {leash, type LeashOptions} from './support/leash.ts'

let sentry: Sentry
let directory: string
beforeAll(async () => {
  sentry = await Sentry.stand()
  directory = scratchDirectory('bad-input')
})
afterAll(async () => {
  await sentry[Symbol.asyncDispose]()
  rmSync(directory, {recursive: true})
})

/** What leash says about a call that it refuses: one line, and it did not even come near etcd. */
const refusal = async (
  args: string[],
  options: LeashOptions = {},
): Promise<[status: unknown, line: string]> => {
  const {status, stdout, stderr} = await leash(args, {
    ...options,
    env: {LEASH_ENDPOINTS: sentry.url, ...options.env},
  })
  expect(stdout).toBe('')
  expect(stderr).toMatch(/^leash: [^\n]+; [^\n]+\n$/)
  expect(sentry.connections).toBe(0)
  return [status, stderr.slice('leash: '.length, -1)]
}

const manyNames = Array.from({length: 32}, (_, index) => `x${index}`)
const seeHelp = 'see "leash run --help"'

describe('a command line that is wrong: 64, and one line with the value, the rule and the way out', () => {
  test.each<[string[], string]>([
    [['fly'], '"fly" is not a command of leash; "leash --help" lists them'],
    [['--fly'], '"--fly" is not an option of leash; "leash --help" lists them'],
    [['Run', '-l', 'x', 'true'], '"Run" is not a command of leash; "leash --help" lists them'],
    [['run', '-l', 'x', '--fly', 'true'], `nonexistent flag: --fly; ${seeHelp}`],
    [['run', '-l', 'x', '-x', 'true'], `nonexistent flag: -x; ${seeHelp}`],
    [['run', '--', 'true'], `missing required flag --with-lock; ${seeHelp}`],
    [['run', '-l'], `flag --with-lock expects a value; ${seeHelp}`],
    [['run', '-l', 'x', '-w'], `flag --wait expects a value; ${seeHelp}`],
    [
      ['run', '-l', 'x', '-n', '-w', '5', 'true'],
      `--no-wait cannot also be provided when using --wait; ${seeHelp}`,
    ],
    [
      ['run', '-l', 'x', '-q', '-v', 'true'],
      `--verbose cannot also be provided when using --quiet; ${seeHelp}`,
    ],
    [
      ['run', '-l', 'x', '--ttl', '5s', '--ttl', '6s', 'true'],
      `flag --ttl can only be specified once; ${seeHelp}`,
    ],
    [
      ['run', '-l', 'x', '-l', 'y', '-l', '', 'true'],
      'x, y, : the lock name is empty; give 1 to 200 bytes of text',
    ],
    [
      ['run', ...manyNames.flatMap((name) => ['-l', name]), 'true'],
      `${manyNames.join(', ')}: 32 locks are named, and 25 is the most; name one lock that stands for them`,
    ],
    [
      ['run', '--raw-key', '-l', 'app/db/x', '-l', 'app/db', 'true'],
      'app/db/x, app/db: the raw key "app/db/x" lies within the queue of "app/db"; name only one of the two',
    ],
    [
      ['run', '-l', 'x'],
      'x: there is no command to run; put it after the options: leash run -l NAME -- COMMAND',
    ],
    [
      ['run', '-l', 'x', '--'],
      'x: there is no command to run; put it after the options: leash run -l NAME -- COMMAND',
    ],
    [
      ['run', '-l', 'x', '-E', '256', 'true'],
      `--conflict-exit-code: expected an integer less than or equal to 255 but received: 256; ${seeHelp}`,
    ],
    [
      ['run', '-l', 'x', '-E', '-1', 'true'],
      `--conflict-exit-code: expected an integer greater than or equal to 0 but received: -1; ${seeHelp}`,
    ],
    [
      ['run', '-l', 'x', '-E', 'x', 'true'],
      `--conflict-exit-code: expected an integer but received: x; ${seeHelp}`,
    ],
    [
      ['run', '-l', 'x', '--lost-exit-code', '1.5', 'true'],
      `--lost-exit-code: expected an integer but received: 1.5; ${seeHelp}`,
    ],
    [
      ['run', '-l', 'x', '-s', 'FLY', 'true'],
      'x: --signal "FLY" is no signal; write for example TERM, INT or 15',
    ],
    [
      ['run', '-l', 'x', '-s', '0', 'true'],
      'x: --signal "0" is no signal; write for example TERM, INT or 15',
    ],
    [
      ['run', '-l', 'x', '-s', 'STOP', 'true'],
      'x: --signal "STOP" does not ask a process to end; write for example TERM, INT or 15',
    ],
    [['run', '-l', '', 'true'], 'the lock name is empty; give 1 to 200 bytes of text'],
    [
      ['run', '-l', 'x'.repeat(201), 'true'],
      `${'x'.repeat(201)}: the lock name "${'x'.repeat(20)}..." is 201 bytes long, and 200 is the most; shorten it`,
    ],
    [
      ['run', '-l', 'a\tb', 'true'],
      String.raw`a\tb: the lock name "a\tb" holds the control character U+0009; use printable text`,
    ],
    [
      ['run', '-l', 'a\u001b[2Jb', 'true'],
      String.raw`a\x1b[2Jb: the lock name "a\u001b[2Jb" holds the control character U+001B; use printable text`,
    ],
    [
      ['acquire', 'x', '--ttl', '9s', '-E', '0'],
      'x: --conflict-exit-code 0 would let a script go on without the lock; choose 1 to 255',
    ],
    [['run', '--raw-key', '-l', '', 'true'], 'the raw key is empty; give 1 to 1000 bytes of text'],
    [
      ['run', '-l', 'x', '--profile', '../x', 'true'],
      'x: --profile "../x" is not a profile name; use 1 to 64 letters, digits, dots, hyphens and underscores, the first a letter or digit',
    ],
    [
      ['run', '-l', 'x', '--prefix', '', 'true'],
      'x: --prefix "" is empty; write for example leash/, or leave it out for that',
    ],
    [
      ['run', '-l', 'x', '--endpoints', 'host', 'true'],
      `x: --endpoints "host" has no port; add the port, etcd's own is 2379`,
    ],
  ])('leash %j', async (args, line) => {
    expect(await refusal(args)).toEqual([64, line])
  })

  test('a lock name that is not UTF-8', async () => {
    const through = ['sh', '-c', String.raw`exec "$@" "$(printf 'caf\351')" true`, 'sh']
    const [status, line] = await refusal(['run', '-l'], {through})
    expect(status).toBe(64)
    expect(line).toBe('caf\ufffd: the lock name "caf\ufffd" is not valid UTF-8; use UTF-8 text')
  })

  const flags = ['--ttl', '--lock-delay', '--grace', '--wait', '--connect-timeout']
  const examples = '500ms, 10s, 5m or 1h30m (a bare number is seconds)'
  test.each(
    flags.flatMap((flag) => [
      [flag, '-5s', `is negative; write a positive duration, for example ${examples}`],
      [flag, 'soon', `is not a duration; write for example ${examples}`],
      [flag, '', `is not a duration; write for example ${examples}`],
      [flag, '5 s', `is not a duration; write for example ${examples}`],
      [flag, '1s1h', `is not a duration; write for example ${examples}`],
      [flag, '0.1ms', `is shorter than 1ms; write for example ${examples}`],
    ]),
  )('%s %j', async (flag = '', value = '', rule) => {
    const [status, line] = await refusal(['run', '-l', 'x', `${flag}=${value}`, 'true'])
    expect([status, line]).toEqual([64, `x: ${flag} ${JSON.stringify(value)} ${rule}`])
  })

  test.each(['--ttl', '--wait', '--connect-timeout'])('%s 0', async (flag) => {
    const [status, line] = await refusal(['run', '-l', 'x', flag, '0', 'true'])
    expect([status, line]).toEqual([
      64,
      `x: ${flag} "0" must be longer than zero; write for example ${examples}`,
    ])
  })

  test.each(flags)('%s 9999d', async (flag) => {
    const [status, line] = await refusal(['run', '-l', 'x', flag, '9999d', 'true'])
    expect(status).toBe(64)
    expect(line).toMatch(
      new RegExp(
        `^x: ${flag} "9999d" is longer than \\d+h, which is the limit because .*; write \\d+h or less$`,
      ),
    )
  })

  test('a timeline that does not fit shows both sides', async () => {
    expect(await refusal(['run', '-l', 'x', '--ttl', '10s', '--grace', '6s', 'true'])).toEqual([
      64,
      'x: the timeline does not fit: renew interval 2.5 s + one retry 1.25 s + grace 6 s + kill margin 0.25 s = 10 s, more than the 9.9 s that a TTL of 10 s entitles to; choose a longer --ttl or a shorter --grace',
    ])
  })
})

describe('a command that cannot be run: 126 or 127, before etcd is asked', () => {
  test.each<[string, string, number, string]>([
    [
      'missing on PATH',
      'no-such-command',
      127,
      'command "no-such-command" was not found; check the name and PATH',
    ],
    ['missing', '/no/such', 127, 'command "/no/such" was not found; check the name and PATH'],
    ['empty', '', 127, 'command "" was not found; check the name and PATH'],
    ['a directory', '/etc', 126, 'command "/etc" is not executable; check /etc'],
    ['not executable', '/etc/passwd', 126, 'command "/etc/passwd" is not executable; check /etc/passwd'],
  ])('%s', async (_, command, status, line) => {
    expect(await refusal(['run', '-l', 'x', command, 'argument'])).toEqual([status, `x: ${line}`])
  })

  test('found on PATH, but not executable', async () => {
    const command = path.join(directory, 'job')
    writeFileSync(command, '')
    chmodSync(command, 0o644)
    expect(await refusal(['run', '-l', 'x', 'job'], {env: {PATH: directory}})).toEqual([
      126,
      `x: command "job" is not executable; check ${command}`,
    ])
  })
})

describe('an environment that is wrong: 78, and the variable is named', () => {
  test.each<[Record<string, string>, string]>([
    [
      {LEASH_TTL: 'x'},
      'LEASH_TTL "x" is not a duration; write for example 500ms, 10s, 5m or 1h30m (a bare number is seconds)',
    ],
    [
      {LEASH_ENDPOINTS: 'ftp://h:1'},
      'LEASH_ENDPOINTS "ftp://h:1" has a scheme other than http and https; write for example http://127.0.0.1:2379',
    ],
    [
      {LEASH_ENDPOINTS: 'http://u:secret@h:1'},
      'LEASH_ENDPOINTS contains an @, and so perhaps a password: an endpoint is a host and a port only; write for example http://127.0.0.1:2379',
    ],
    [
      {LEASH_ENDPOINTS: 'http://h:1', LEASH_CACERT: '/ca.pem'},
      'LEASH_CACERT "/ca.pem" is for TLS, but the endpoints are http, so nothing would be encrypted; write https:// for every endpoint, or unset it',
    ],
    [
      {LEASH_ENDPOINTS: 'https://h:1', LEASH_CACERT: '/nowhere'},
      'LEASH_CACERT "/nowhere" cannot be read (ENOENT); check the path and its permissions',
    ],
    [{LEASH_PREFIX: ' x'}, 'LEASH_PREFIX " x" begins or ends with white space; remove the white space'],
  ])('%j', async (env, line) => {
    expect(await refusal(['run', '-l', 'x', 'true'], {env})).toEqual([78, `x: ${line}`])
  })
})

test("a TTL below etcd's minimum is raised, and said, and the job runs", async () => {
  await using etcd = await EtcdServer.start({version: '3.4'})
  const env = {LEASH_ENDPOINTS: etcd.url}
  expect(await leash(['run', '-l', 'x', '--ttl', '1s', 'echo', 'ran'], {env})).toEqual({
    status: 0,
    stdout: 'ran\n',
    stderr: 'leash: x: etcd raised the TTL from 1 s to 2 s; ask for that much to silence this\n',
  })
  expect((await leash(['run', '-q', '-l', 'x', '--ttl', '1s', 'true'], {env})).stderr).toBe('')
})
