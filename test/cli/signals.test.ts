import {constants} from 'node:os'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {keysUnder, leases} from '../support/etcdGateway.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {until} from '../support/wait.ts'
import {Leash, fixture} from './support/leash.ts'
import {nothingLeft} from './support/nothingLeft.ts'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const

let etcd: EtcdServer
let env: Record<string, string>
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
  env = {LEASH_ENDPOINTS: etcd.url}
})
afterAll(() => etcd[Symbol.asyncDispose]())

const queueLength = async (lock: string): Promise<number> =>
  (await keysUnder(etcd.url, `leash/lock/${lock}/`)).length

describe('while the job runs', () => {
  test('each signal goes to every process of its group, once, and leash goes on', async () => {
    await using run = new Leash(['run', '-l', 'x', fixture('signals.pl')], {env})
    await run.says(/(.* ready\n){2}/)
    for (const signal of signals) {
      const name = signal.slice(3)
      run.kill(signal)
      await run.says(new RegExp(`parent ${name}\n`))
      await run.says(new RegExp(`child ${name}\n`))
    }
    run.endInput()
    const {status, stdout, stderr} = await run.end()
    expect({status, stderr}).toEqual({status: 0, stderr: ''})
    const said = stdout.trimEnd().split('\n')
    const expected = ['ready', ...signals.map((signal) => signal.slice(3))]
    for (const role of ['parent', 'child']) {
      expect(said.filter((line) => line.startsWith(role))).toEqual(expected.map((word) => `${role} ${word}`))
    }
    await nothingLeft(etcd)
  })

  test.each(signals)(
    '%s ends a job that does not catch it, and leash says so in its status',
    async (signal) => {
      await using run = new Leash(['run', '-l', 'x', '--', 'sh', '-c', 'ulimit -c 0; echo runs; read line'], {
        env,
      })
      await run.says(/runs/)
      run.kill(signal)
      expect(await run.end()).toEqual({status: 128 + constants.signals[signal], stdout: 'runs\n', stderr: ''})
      await nothingLeft(etcd)
    },
  )

  test('the lock is held until a job that takes its time over a signal has ended', async () => {
    const script = 'trap "echo caught; read line; exit 7" TERM; echo runs; while :; do sleep 0.01; done'
    await using run = new Leash(['run', '-l', 'x', '--', 'sh', '-c', script], {env})
    await run.says(/runs/)
    run.kill('SIGTERM')
    await run.says(/caught/)
    expect(await queueLength('x')).toBe(1)
    run.endInput()
    expect((await run.end()).status).toBe(7)
    await nothingLeft(etcd)
  })
})

describe('in the queue', () => {
  let holder: Leash
  beforeAll(async () => {
    holder = new Leash(['run', '-l', 'held', '--', 'sh', '-c', 'echo runs; read line'], {env})
    await holder.says(/runs/)
  })
  afterAll(async () => {
    holder.endInput()
    await holder.end()
    await nothingLeft(etcd)
  })

  test.each(signals)('%s withdraws the ticket, and no job is started', async (signal) => {
    await using run = new Leash(['run', '-l', 'held', 'echo', 'never'], {env})
    await until('the waiter to queue', async () => (await queueLength('held')) === 2, {withinMs: 10_000})
    run.kill(signal)
    expect(await run.end()).toEqual({status: 128 + constants.signals[signal], stdout: '', stderr: ''})
    expect(await queueLength('held')).toBe(1)
    expect(await leases(etcd.url)).toHaveLength(1)
  })
})

test('while etcd is out of reach, each ends leash, and nothing is left when etcd comes back', async () => {
  await using hole = await TcpProxy.to(etcd)
  // Grants arrive, their answers do not.
  hole.blackhole('toClient')
  const ends = await Promise.all(
    signals.map(async (signal) => {
      await using link = await TcpProxy.to(hole)
      await using run = new Leash(['run', '-l', 'x', '--endpoints', link.url, 'echo', 'never'])
      await until('leash to connect', () => link.connectionCount > 0, {withinMs: 10_000})
      run.kill(signal)
      return {signal, ...(await run.end())}
    }),
  )
  const quiet = {stdout: '', stderr: ''}
  expect(ends).toEqual(signals.map((signal) => ({signal, status: 128 + constants.signals[signal], ...quiet})))
  await hole.heal()
  await until('the leases to be gone', async () => (await leases(etcd.url)).length === 0, {withinMs: 10_000})
  await nothingLeft(etcd)
})
