import {afterAll, beforeAll, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {Job} from '../support/Job.ts'
import {Oracle} from '../support/oracle.ts'
import {isAlive} from '../support/processes.ts'
import {nowMs, until} from '../support/wait.ts'

let etcd: EtcdServer
beforeAll(async () => {
  etcd = await EtcdServer.start()
})
afterAll(() => etcd[Symbol.asyncDispose]())

test('a job runs under its lock, ends as told, and leaves no process', async () => {
  await using oracle = await Oracle.create()
  await using job = await Job.startRunning({oracle, endpoints: [etcd.url], lock: 'one', modes: ['fork']})
  const ticket = await job.running()
  expect(ticket).toMatchObject({lock: 'one', key: `leash/lock/one/${ticket.lease}`})
  expect(job.processes().map(({pid}) => pid)).toContain(job.pid)
  const toldAtMs = nowMs()
  job.tellToExit(3)
  expect(await job.exited()).toMatchObject({status: 3, signal: null})
  expect(await job.treeEmpty()).toBeGreaterThan(toldAtMs)
  expect(job.processes()).toEqual([])
  expect(job.status()).toMatchObject({outcome: 'ended'})
})

test('a job that cannot run says at once what leash said', async () => {
  await using oracle = await Oracle.create()
  await using holder = await Job.startRunning({oracle, endpoints: [etcd.url], name: 'first', lock: 'two'})
  await using job = Job.start({
    oracle,
    endpoints: [etcd.url],
    name: 'second',
    lock: 'two',
    flags: ['--no-wait'],
  })
  await expect(job.running()).rejects.toThrow(/ended before its job ran: {"status":75.*leash \(second\)/s)
  expect(holder.emptyAtMs).toBeUndefined()
})

test('giving a job back kills leash and all that it started', async () => {
  await using oracle = await Oracle.create()
  let pids: number[]
  {
    await using job = await Job.startRunning({
      oracle,
      endpoints: [etcd.url],
      lock: 'three',
      modes: ['setsid'],
    })
    pids = job.processes().map(({pid}) => pid)
  }
  expect(pids.length).toBeGreaterThanOrEqual(3)
  await until('all to be gone', () => !pids.some(isAlive), {withinMs: 1000})
})
