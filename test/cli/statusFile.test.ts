import {rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import {canContainByCgroup} from '../support/cgroups.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {keysUnder} from '../support/etcdGateway.ts'
import {freePorts} from '../support/scratch.ts'
import {until} from '../support/wait.ts'
import {StatusFile} from './support/StatusFile.ts'
import {type Ended, Leash, leash} from './support/leash.ts'

let etcd: EtcdServer
let env: Record<string, string>
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
  env = {LEASH_ENDPOINTS: etcd.url}
})
afterAll(() => etcd[Symbol.asyncDispose]())

let file: StatusFile
beforeEach(() => {
  file = new StatusFile()
})
afterEach(() => file[Symbol.dispose]())

const run = (...args: string[]): Promise<Ended> => leash(file.runs(...args), {env})

const matching = (pattern: RegExp): string => expect.stringMatching(pattern) as string
const anyNumber = expect.any(Number) as number
const one = {
  lock: 'x',
  fence: matching(/^[1-9]\d*$/),
  key: matching(/^leash\/lock\/x\/[0-9a-f]+$/),
}
const held = {
  ...one,
  locks: [one],
  lease: matching(/^[0-9a-f]+$/),
  waitedMs: anyNumber,
  heldMs: anyNumber,
  containment: canContainByCgroup() ? 'cgroup' : 'session',
  leftovers: false,
  possibleOverlap: false,
}
const neverHeld = {
  lock: 'x',
  code: null,
  signal: null,
  fence: null,
  key: null,
  locks: null,
  lease: null,
  waitedMs: anyNumber,
  heldMs: null,
  leftovers: null,
  possibleOverlap: null,
  containment: null,
}

describe('says how it ended', () => {
  test('ended by itself, with its status', async () => {
    expect((await run('sh', '-c', 'exit 7')).status).toBe(7)
    expect(file.report()).toEqual({
      ...held,
      outcome: 'ended',
      cause: null,
      exitStatus: 7,
      code: 7,
      signal: null,
    })
  })

  test('ended by a signal', async () => {
    expect((await run('sh', '-c', 'kill -KILL $$')).status).toBe(137)
    expect(file.report()).toEqual({
      ...held,
      outcome: 'ended',
      cause: null,
      exitStatus: 137,
      code: null,
      signal: 'SIGKILL',
    })
  })

  test('left processes behind', async () => {
    const {status, stderr} = await run('sh', '-c', 'sleep 1000 & exit 3')
    expect(status).toBe(3)
    expect(stderr).toMatch(/^leash: x: the job left processes behind, which were ended; .*\n$/)
    expect(file.report()).toMatchObject({outcome: 'ended', exitStatus: 3, code: 3, leftovers: true})
  })

  test('lost', async () => {
    await using lost = new Leash(
      file.runs('--lost-exit-code', '99', '--', 'sh', '-c', 'echo $LEASH_LEASE; read line'),
      {env},
    )
    await etcd.etcdctl('lease', 'revoke', (await lost.says(/[0-9a-f]+\n/)).trim())
    expect((await lost.end()).status).toBe(99)
    expect(file.report()).toEqual({
      ...held,
      outcome: 'lost',
      cause: 'ticketGone',
      exitStatus: 99,
      code: null,
      signal: 'SIGKILL',
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
      expect(file.report()).toEqual({...neverHeld, outcome: 'contended', cause: null, exitStatus: 4})
    })

    test('waited out', async () => {
      expect((await run('-w', '200ms', 'true')).status).toBe(75)
      const {waitedMs} = file.report()
      expect(file.report()).toEqual({...neverHeld, outcome: 'waitedOut', cause: null, exitStatus: 75})
      expect(waitedMs).toBeGreaterThanOrEqual(200)
    })

    test('interrupted', async () => {
      await using waiter = new Leash(file.runs('true'), {env})
      await until(
        'the waiter to queue',
        async () => (await keysUnder(etcd.url, 'leash/lock/x/')).length === 2,
        {
          withinMs: 10_000,
        },
      )
      waiter.kill('SIGTERM')
      expect((await waiter.end()).status).toBe(143)
      expect(file.report()).toEqual({...neverHeld, outcome: 'interrupted', cause: 'SIGTERM', exitStatus: 143})
    })
  })

  test('failed', async () => {
    const [port = 0] = await freePorts(1)
    const endpoints = ['--endpoints', `http://127.0.0.1:${port}`, '--connect-timeout', '100ms']
    expect((await run(...endpoints, 'true')).status).toBe(69)
    expect(file.report()).toEqual({
      ...neverHeld,
      waitedMs: null,
      outcome: 'failed',
      cause: 'unavailable',
      message: `etcd cannot be reached: http://127.0.0.1:${port}: connect ECONNREFUSED`,
      exitStatus: 69,
    })
  })

  test('ended as a command does that cannot be executed: the interpreter of the job is missing', async () => {
    const script = path.join(file.directory, 'job')
    writeFileSync(script, '#!/nowhere/interpreter\n', {mode: 0o755})
    const {status, stdout, stderr} = await run(script)
    rmSync(script)
    expect({status, stdout}).toEqual({status: 127, stdout: ''})
    // By the shell, which was to become the job.
    expect(stderr).toMatch(/^\S+: .*not found\n$/)
    expect(file.report()).toEqual({
      ...held,
      outcome: 'ended',
      cause: null,
      exitStatus: 127,
      code: 127,
      signal: null,
    })
    expect(await keysUnder(etcd.url, '')).toEqual([])
  })
})
