import {existsSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {canContainByCgroup} from '../support/cgroups.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {Job} from '../support/Job.ts'
import {Oracle} from '../support/oracle.ts'
import {isAlive, type Found} from '../support/processes.ts'
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

test('a running job has a guard, and a waiting one has it already', async () => {
  await using oracle = await Oracle.create()
  const place = {oracle, endpoints: [etcd.url], lock: 'guarded'}
  await using holder = await Job.startRunning({...place, name: 'first'})
  await using waiter = Job.start({...place, name: 'second'})
  const guards = [holder.guardPid, await until('a guard', () => guardOf(waiter), {withinMs: 10_000})]
  expect(guards.map((pid) => isAlive(pid))).toEqual([true, true])
})

/** Undefined while there is none. */
const guardOf = (job: Job): number | undefined => {
  try {
    return job.guardPid
  } catch {
    return undefined
  }
}

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

describe.runIf(canContainByCgroup())('in a cgroup that the test can make', () => {
  /** Stands in for leash: its own arguments follow. */
  const program = (script: string) => ['sh', '-c', `${script}\nsleep 60`, 'sh']

  test('what hides from the mark in the environment is seen, and killed', async () => {
    await using oracle = await Oracle.create()
    let hidden: Found | undefined
    {
      await using job = Job.start({oracle, endpoints: [], program: program('env -i setsid sleep 61 &')})
      hidden = await until('the hidden one', () => named(job, 'sleep 61'), {withinMs: 5000})
      expect(job.processes().map(({pid}) => pid)).toContain(job.pid)
    }
    expect(isAlive(hidden.pid)).toBe(false)
  })

  test('a cgroup that was left behind is seen, and removed', async () => {
    await using oracle = await Oracle.create()
    const own = `own=$(grep cgroup2 /proc/self/mounts | cut -d ' ' -f 2)$(sed -n s/^0:://p /proc/self/cgroup)`
    let left: string[]
    {
      await using job = Job.start({oracle, endpoints: [], program: program(`${own}\nmkdir "$own/leash-1"`)})
      left = await until('the cgroup', () => job.cgroups().length > 0 && job.cgroups(), {withinMs: 5000})
      expect(left.map((directory) => path.basename(directory))).toEqual(['leash-1'])
    }
    expect(left.filter((directory) => existsSync(directory))).toEqual([])
  })
})

const named = (job: Job, command: string): Found | undefined =>
  job.processes().find((found) => found.command === command)
