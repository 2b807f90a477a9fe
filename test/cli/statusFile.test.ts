import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {keysUnder} from '../support/etcdGateway.ts'
import {GrpcProxy} from '../support/GrpcProxy.ts'
import {freePorts, scratchDirectory} from '../support/scratch.ts'
import {until} from '../support/wait.ts'
import {type Ended, Leash, leash} from './support/leash.ts'

let etcd: EtcdServer
let env: Record<string, string>
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
  env = {LEASH_ENDPOINTS: etcd.url}
})
afterAll(() => etcd[Symbol.asyncDispose]())

let directory: string
let file: string
beforeEach(() => {
  directory = scratchDirectory('status')
  file = path.join(directory, 'status.json')
})
afterEach(() => rmSync(directory, {recursive: true}))

/** The report; a single line, and the only file in its directory. */
const report = (): Record<string, unknown> => {
  const text = readFileSync(file, 'utf8')
  expect(text).toMatch(/^\{.*\}\n$/)
  expect(readdirSync(directory)).toEqual(['status.json'])
  return JSON.parse(text) as Record<string, unknown>
}

const runs = (...args: string[]): string[] => ['run', '-l', 'x', '--status-file', file, ...args]
const run = (...args: string[]): Promise<Ended> => leash(runs(...args), {env})

const matching = (pattern: RegExp): string => expect.stringMatching(pattern) as string
const anyNumber = expect.any(Number) as number
const held = {
  lock: 'x',
  fence: matching(/^[1-9]\d*$/),
  key: matching(/^leash\/lock\/x\/[0-9a-f]+$/),
  lease: matching(/^[0-9a-f]+$/),
  waitedMs: anyNumber,
  heldMs: anyNumber,
  containment: 'process group',
}
const neverHeld = {
  lock: 'x',
  code: null,
  signal: null,
  fence: null,
  key: null,
  lease: null,
  waitedMs: anyNumber,
  heldMs: null,
  late: null,
  leftovers: null,
  containment: null,
}

describe('says how it ended', () => {
  test('ended by itself, with its status', async () => {
    expect((await run('sh', '-c', 'exit 7')).status).toBe(7)
    expect(report()).toEqual({
      ...held,
      outcome: 'ended',
      cause: null,
      late: null,
      exitStatus: 7,
      code: 7,
      signal: null,
      leftovers: false,
    })
  })

  test('ended by a signal', async () => {
    expect((await run('sh', '-c', 'kill -KILL $$')).status).toBe(137)
    expect(report()).toEqual({
      ...held,
      outcome: 'ended',
      cause: null,
      late: null,
      exitStatus: 137,
      code: null,
      signal: 'SIGKILL',
      leftovers: false,
    })
  })

  test('left processes behind', async () => {
    const {status, stderr} = await run('sh', '-c', 'sleep 1000 & exit 3')
    expect(status).toBe(3)
    expect(stderr).toBe(
      'leash: x: the job left processes behind, which were ended; let it wait for its children\n',
    )
    expect(report()).toMatchObject({outcome: 'ended', exitStatus: 3, code: 3, leftovers: true})
  })

  test('lost', async () => {
    await using lost = new Leash(
      runs('--lost-exit-code', '99', '--', 'sh', '-c', 'echo $LEASH_LEASE; read line'),
      {env},
    )
    await etcd.etcdctl('lease', 'revoke', (await lost.says(/[0-9a-f]+\n/)).trim())
    expect((await lost.end()).status).toBe(99)
    expect(report()).toEqual({
      ...held,
      outcome: 'lost',
      cause: 'ticketGone',
      late: false,
      exitStatus: 99,
      code: null,
      signal: 'SIGKILL',
      leftovers: null,
    })
  })

  describe('while somebody else holds the lock', () => {
    let holder: Leash
    beforeEach(async () => {
      holder = new Leash(['run', '-l', 'x', '--', 'sh', '-c', 'echo runs; read line'], {env})
      await holder.says(/runs/)
    })
    afterEach(() => holder[Symbol.asyncDispose]())
    // Its end is a clean one, so the next holder does not have to wait.
    afterEach(async () => {
      holder.endInput()
      await holder.end()
    })

    test('contended', async () => {
      expect((await run('-n', '-E', '4', 'true')).status).toBe(4)
      expect(report()).toEqual({...neverHeld, outcome: 'contended', cause: null, exitStatus: 4})
    })

    test('waited out', async () => {
      expect((await run('-w', '200ms', 'true')).status).toBe(75)
      const {waitedMs} = report()
      expect(report()).toEqual({...neverHeld, outcome: 'waitedOut', cause: null, exitStatus: 75})
      expect(waitedMs).toBeGreaterThanOrEqual(200)
    })

    test('interrupted', async () => {
      await using waiter = new Leash(runs('true'), {env})
      await until(
        'the waiter to queue',
        async () => (await keysUnder(etcd.url, 'leash/lock/x/')).length === 2,
        {
          withinMs: 10_000,
        },
      )
      waiter.kill('SIGTERM')
      expect((await waiter.end()).status).toBe(143)
      expect(report()).toEqual({...neverHeld, outcome: 'interrupted', cause: 'SIGTERM', exitStatus: 143})
    })
  })

  test('failed', async () => {
    const [port = 0] = await freePorts(1)
    const endpoints = ['--endpoints', `http://127.0.0.1:${port}`, '--connect-timeout', '100ms']
    expect((await run(...endpoints, 'true')).status).toBe(69)
    expect(report()).toEqual({
      ...neverHeld,
      waitedMs: null,
      outcome: 'failed',
      cause: 'unavailable',
      message: `etcd cannot be reached: http://127.0.0.1:${port}: connect ECONNREFUSED`,
      exitStatus: 69,
    })
  })

  test('failed after the lock was acquired: the interpreter of the job is missing', async () => {
    const script = path.join(directory, 'job')
    writeFileSync(script, '#!/nowhere/interpreter\n', {mode: 0o755})
    expect(await run(script)).toEqual({
      status: 127,
      stdout: '',
      stderr: `leash: x: command "${script}" was not found; check the name, PATH, and the interpreter in its first line\n`,
    })
    rmSync(script)
    expect(report()).toMatchObject({outcome: 'failed', cause: 'notFound', exitStatus: 127})
    expect(await keysUnder(etcd.url, '')).toEqual([])
  })
})

describe('the file', () => {
  test('is readable by all and writable by its owner, whatever the old one was', async () => {
    writeFileSync(file, 'old', {mode: 0o600})
    await leash(runs('true'), {env, through: ['sh', '-c', 'umask 022; exec "$@"', 'sh']})
    expect(statSync(file).mode & 0o777).toBe(0o644)
    expect(report()).toMatchObject({outcome: 'ended'})
  })

  test('of an earlier run is gone before the job starts', async () => {
    writeFileSync(file, 'old')
    const {stdout} = await run('sh', '-c', `[ -e '${file}' ] && echo there || echo gone`)
    expect(stdout).toBe('gone\n')
  })

  test('of an earlier run is gone when leash was killed', async () => {
    writeFileSync(file, 'old')
    await using killed = new Leash(
      ['run', '-l', 'killed', '--status-file', file, '--', 'sh', '-c', 'echo runs; read line'],
      {env},
    )
    await killed.says(/runs/)
    await killed.killHard()
    expect(existsSync(file)).toBe(false)
  })

  test('does not change when the run is only explained', async () => {
    writeFileSync(file, 'old')
    expect((await run('--explain', 'true')).status).toBe(0)
    expect(readFileSync(file, 'utf8')).toBe('old')
  })

  test('is written beside the working directory of leash, if its path is relative', async () => {
    await leash(['run', '-l', 'x', '--status-file', 'status.json', '--', 'sh', '-c', 'cd /; exit 5'], {
      env,
      cwd: directory,
    })
    expect(report()).toMatchObject({code: 5})
  })

  test('is not written through a link that waits for it', async () => {
    const victim = path.join(directory, 'victim')
    writeFileSync(victim, 'untouched')
    // The name that the unfinished file gets is known only when leash runs: the job is its child.
    const {status} = await run('sh', '-c', `ln -s '${victim}' "${file}.$PPID.tmp"`)
    expect(status).toBe(0)
    expect(readFileSync(victim, 'utf8')).toBe('untouched')
    rmSync(victim)
    expect(report()).toMatchObject({outcome: 'ended'})
  })

  test('that cannot be written at the end costs a line, and not the status', async () => {
    const away = path.join(directory, 'away')
    mkdirSync(away)
    const {status, stderr} = await leash(
      [
        'run',
        '-l',
        'x',
        '--status-file',
        path.join(away, 'status.json'),
        'sh',
        '-c',
        `rmdir '${away}'; exit 5`,
      ],
      {env},
    )
    expect(status).toBe(5)
    expect(stderr).toMatch(
      /^leash: x: the status file could not be written \(.*ENOENT.*\); make room for .*\n$/,
    )
  })
})

describe('a path that cannot be a status file is refused before etcd is asked anything', () => {
  test.each<[string, () => string, string]>([
    ['empty', () => '', 'the path is empty'],
    ['in no directory', () => path.join(directory, 'none/status.json'), 'ENOENT'],
    ['below a file', () => '/etc/passwd/status.json', 'EACCES'],
    ['a directory', () => directory, 'it is no regular file'],
    ['a device', () => '/dev/null', 'it is no regular file'],
    [
      'a link',
      () => {
        symlinkSync('/dev/null', path.join(directory, 'link'))
        return path.join(directory, 'link')
      },
      'it is no regular file',
    ],
  ])('%s', async (_, make, reason) => {
    await using proxy = await GrpcProxy.to(etcd)
    const target = make()
    const {status, stdout, stderr} = await leash([
      'run',
      '-l',
      'x',
      '--endpoints',
      proxy.url,
      '--status-file',
      target,
      'true',
    ])
    expect({status, stdout}).toEqual({status: 64, stdout: ''})
    expect(stderr).toBe(
      `leash: x: the status file ${JSON.stringify(target)} cannot be written: ${reason}; give the path of a file in a directory that exists and that you can write to\n`,
    )
    expect(proxy.methods).toEqual([])
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true)
  })
})
