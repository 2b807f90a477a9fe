import {createHash, randomBytes} from 'node:crypto'
import {mkdirSync, realpathSync, rmSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {keysUnder} from '../support/etcdGateway.ts'
import {scratchDirectory} from '../support/scratch.ts'
import {until} from '../support/wait.ts'
import {Leash, leash} from './support/leash.ts'

let etcd: EtcdServer
let env: Record<string, string>
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
  env = {LEASH_ENDPOINTS: etcd.url}
})
afterAll(() => etcd[Symbol.asyncDispose]())

const megabyte = randomBytes(1_000_000)
const sha256 = createHash('sha256').update(megabyte).digest('hex')

test('stdin reaches the job untouched', async () => {
  const {status, stdout, stderr} = await leash(['run', '-l', 'in', 'sha256sum'], {env, input: megabyte})
  expect({status, stdout, stderr}).toEqual({status: 0, stdout: `${sha256}  -\n`, stderr: ''})
})

test('stdin reaches the job untouched after a wait in the queue', async () => {
  await using holder = new Leash(['run', '-l', 'in', '--', 'sh', '-c', 'echo runs; read line'], {env})
  await holder.says(/runs/)
  await using waiter = new Leash(['run', '-l', 'in', 'sha256sum'], {env, input: megabyte})
  await until('the waiter to queue', async () => (await keysUnder(etcd.url, 'leash/lock/in/')).length === 2, {
    withinMs: 10_000,
  })
  holder.endInput()
  expect((await waiter.end()).stdout).toBe(`${sha256}  -\n`)
})

test('what the job leaves of stdin is left to whoever comes after it', async () => {
  const {stdout} = await leash(['run', '-l', 'in', '--', 'sh', '-c', 'read line; echo "job: $line"'], {
    env,
    through: ['sh', '-c', 'printf "1\\n2\\n3\\n" | { "$@"; echo "rest:"; cat; }', 'sh'],
  })
  expect(stdout).toBe('job: 1\nrest:\n2\n3\n')
})

test('a job that is given no stdin sees its end at once', async () => {
  expect(
    await leash(['run', '-l', 'in', 'cat'], {env, through: ['sh', '-c', 'exec "$@" <&-', 'sh']}),
  ).toEqual({
    status: 0,
    stdout: '',
    stderr: '',
  })
})

test("stdout is the job's alone, byte by byte, and stderr too", async () => {
  await using run = new Leash(['run', '-l', 'out', '--', 'sh', '-c', 'cat; printf "oops\\n\\377" >&2'], {
    env,
    input: megabyte,
  })
  const {status} = await run.end()
  expect(status).toBe(0)
  expect(run.stdoutBytes.equals(megabyte)).toBe(true)
  expect(run.stderr).toBe('oops\n\ufffd')
})

test('what leash says with -v goes to stderr', async () => {
  const {stdout, stderr} = await leash(['run', '-v', '-l', 'out', 'echo', 'hi'], {env})
  expect(stdout).toBe('hi\n')
  expect(stderr).toMatch(/^leash: out: acquired, fencing token \d+\n$/)
})

test('a job whose stdout is closed ends as it would without leash', async () => {
  const through = ['sh', '-c', '{ "$@"; echo "status $?" >&2; } | head -n 1', 'sh']
  const {stdout, stderr} = await leash(['run', '-l', 'out', 'yes'], {env, through})
  // 141: by SIGPIPE, which Node ignores and the job must not.
  expect({stdout, stderr}).toEqual({stdout: 'y\n', stderr: 'status 141\n'})
})

test('the job runs in the working directory of leash, also if its path is strange', async () => {
  const scratch = realpathSync(scratchDirectory('cwd'))
  const cwd = path.join(scratch, 'a b\n*')
  mkdirSync(cwd)
  try {
    const {stdout} = await leash(['run', '-l', 'cwd', '--', 'sh', '-c', 'pwd -P'], {env, cwd})
    expect(stdout).toBe(`${cwd}\n`)
  } finally {
    rmSync(scratch, {recursive: true})
  }
})

test('the job keeps umask and priority', async () => {
  const through = ['sh', '-c', 'umask 027; exec nice -n 3 "$@"', 'sh']
  const {stdout} = await leash(['run', '-l', 'cwd', '--', 'sh', '-c', 'umask; nice'], {env, through})
  expect(stdout).toBe('0027\n3\n')
})

test.each([
  ['closed', '2>&-'],
  ['full', '2>/dev/full'],
  ['a pipe that nobody reads', '2> >(exec true)'],
])('a stderr that is %s disturbs nothing', async (_, redirection) => {
  const through = ['bash', '-c', `"$@" ${redirection}`, 'bash']
  const {status, stdout} = await leash(['run', '-v', '-l', 'err', '--', 'sh', '-c', 'echo ran; exit 4'], {
    env,
    through,
  })
  expect({status, stdout}).toEqual({status: 4, stdout: 'ran\n'})
})
