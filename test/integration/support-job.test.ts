import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {afterEach, describe, expect, test} from 'vitest'
import {deleteKey, grant, keepAlive, put, revoke} from '../support/etcdGateway.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {ExpiryBound, TicketWatch} from '../support/leaseWatch.ts'
import {Oracle, type FixtureMode} from '../support/oracle.ts'
import {isAlive, isStopped, killMarked, processesMarked} from '../support/processes.ts'
import {nowMs, pause, until, within} from '../support/wait.ts'

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

const start = (oracle: Oracle, name: string, modes: FixtureMode[] = [], env = {}): ChildProcess => {
  const [program = '', ...args] = oracle.command(name, modes)
  const child = spawn(program, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {...process.env, ...env},
    detached: true,
  })
  children.push(child)
  return child
}

describe('the oracle', () => {
  test('one tree alone is no violation, and tells what its environment says', async () => {
    await using oracle = await Oracle.create()
    const startedAtMs = nowMs()
    const child = start(oracle, 'a', [], {
      LEASH_LOCK: 'nightly',
      LEASH_FENCE: '7',
      LEASH_LEASE: 'ab',
      LEASH_KEY: 'leash/x',
    })
    const running = await oracle.tree('a').running()
    expect(running).toMatchObject({pid: child.pid, lock: 'nightly', fence: '7', lease: 'ab', key: 'leash/x'})
    expect(running.atMs).toBeGreaterThan(startedAtMs)
    expect(running.atMs).toBeLessThan(nowMs())
    expect(oracle.tree('a').emptyAtMs).toBeUndefined()
    oracle.tree('a').exit(3)
    expect(await once(child, 'exit')).toEqual([3, null])
    await oracle.tree('a').empty()
    expect(oracle.violations()).toEqual([])
    expect(oracle.notes().map(({event}) => event)).toEqual(['running', 'ended'])
  })

  test('a second tree beside the first is a violation, with the time it lasted', async () => {
    await using oracle = await Oracle.create()
    start(oracle, 'a')
    await oracle.tree('a').running()
    start(oracle, 'b')
    await oracle.tree('b').running()
    await pause(50)
    oracle.tree('a').exit(0)
    await oracle.tree('a').empty()
    const ended = await until(
      'the overlap to end',
      () => oracle.notes().find(({event}) => event === 'overlap-ended'),
      {withinMs: 2000},
    )
    const [violation, ...more] = oracle.violations()
    expect(more).toEqual([])
    expect(violation?.name).toBe('b')
    expect(ended.atMs - (violation?.atMs ?? 0)).toBeGreaterThan(45)
  })

  test.each<{beside: string; holders: FixtureMode[]; intruder: FixtureMode[]}>([
    {beside: 'a writer beside readers', holders: ['shared', 'shared'], intruder: []},
    {beside: 'a writer beside a slot', holders: ['slots=2'], intruder: []},
    {beside: 'one more than there are slots', holders: ['slots=2', 'slots=2'], intruder: ['slots=2']},
  ])('$beside is a violation, until they have ended', async ({holders, intruder}) => {
    await using oracle = await Oracle.create()
    for (const [index, mode] of holders.entries()) {
      start(oracle, `holder ${index}`, [mode])
      await oracle.tree(`holder ${index}`).running()
    }
    expect(oracle.violations()).toEqual([])
    start(oracle, 'intruder', intruder)
    await oracle.tree('intruder').running()
    expect(oracle.violations().map(({name}) => name)).toEqual(['intruder'])
    for (const index of holders.keys()) oracle.tree(`holder ${index}`).exit(0)
    await until('the overlap to end', () => oracle.notes().some(({event}) => event === 'overlap-ended'), {
      withinMs: 5000,
    })
  })

  test('a reader beside a writer is a violation', async () => {
    await using oracle = await Oracle.create()
    start(oracle, 'writer')
    await oracle.tree('writer').running()
    start(oracle, 'reader', ['shared'])
    await oracle.tree('reader').running()
    expect(oracle.violations().map(({name}) => name)).toEqual(['reader'])
  })

  test.each(['fork', 'own-groups', 'setsid', 'daemon'] as const)(
    'a tree is not empty while a process that it forked lives (%s)',
    async (mode) => {
      await using oracle = await Oracle.create()
      const mark = `SUPPORT_TEST=${process.pid}-${mode}`
      const child = start(oracle, 'a', [mode], {SUPPORT_TEST: `${process.pid}-${mode}`})
      await oracle.tree('a').running()
      const [forked] = processesMarked(mark).filter(({pid}) => pid !== child.pid)
      child.kill('SIGKILL')
      await once(child, 'exit')
      start(oracle, 'b')
      await oracle.tree('b').running()
      expect(oracle.tree('a').emptyAtMs).toBeUndefined()
      expect(oracle.violations()).toHaveLength(1)
      const killedAtMs = nowMs()
      killMarked(mark)
      const emptyAtMs = await oracle.tree('a').empty()
      expect(emptyAtMs).toBeGreaterThan(killedAtMs)
      expect(emptyAtMs - killedAtMs).toBeLessThan(100)
      expect(forked && isAlive(forked.pid)).toBe(false)
    },
  )

  test('a fixture that ignores TERM needs KILL', async () => {
    await using oracle = await Oracle.create()
    const child = start(oracle, 'a', ['ignore-term'])
    await oracle.tree('a').running()
    child.kill('SIGTERM')
    child.kill('SIGCONT')
    oracle.tree('a').exit(4, 20)
    expect(await once(child, 'exit')).toEqual([4, null])
  })

  test('a fixture that has stopped itself ends as told, and at once by KILL', async () => {
    await using oracle = await Oracle.create()
    const told = start(oracle, 'a', ['stop'])
    const {pid} = await oracle.tree('a').running()
    oracle.tree('a').exit(4)
    expect(await once(told, 'exit')).toEqual([4, null])
    const killed = start(oracle, 'b', ['stop'])
    await oracle.tree('b').running()
    await until('the fixture to stop', () => isStopped(killed.pid ?? pid), {withinMs: 2000})
    killed.kill('SIGTERM')
    expect(isStopped(killed.pid ?? pid)).toBe(true)
    killed.kill('SIGKILL')
    await oracle.tree('b').empty(2000)
  })

  test.each([[['fork-loop']], [['fork-loop', 'setsid']]] as const)(
    'a chain of forks (%s) outlives what began it, and ends with the oracle',
    async (modes) => {
      const oracle = await Oracle.create()
      const mark = `SUPPORT_TEST=${process.pid}-chain`
      const child = start(oracle, 'a', [...modes], {SUPPORT_TEST: `${process.pid}-chain`})
      await oracle.tree('a').running()
      const seen = new Set<number>()
      const look = () => processesMarked(mark).filter(({pid}) => pid !== child.pid && seen.add(pid))
      child.kill('SIGKILL')
      await once(child, 'exit')
      await until('ten links of it to be seen', () => look().length >= 0 && seen.size > 10, {withinMs: 5000})
      expect(oracle.tree('a').emptyAtMs).toBeUndefined()
      await oracle[Symbol.asyncDispose]()
      await until('the chain to end', () => processesMarked(mark).length === 0, {withinMs: 2000})
    },
  )

  test('two hundred children are one tree', async () => {
    await using oracle = await Oracle.create()
    const mark = `SUPPORT_TEST=${process.pid}-many`
    const child = start(oracle, 'a', ['many'], {SUPPORT_TEST: `${process.pid}-many`})
    await oracle.tree('a').running()
    expect(processesMarked(mark)).toHaveLength(201)
    process.kill(-(child.pid ?? NaN), 'SIGKILL')
    await oracle.tree('a').empty()
  })

  test('a fixture does not care who reads what it says', async () => {
    await using oracle = await Oracle.create()
    const [program = '', ...args] = oracle.command('a', ['closed-pipe'])
    const child = spawn(program, args, {stdio: ['ignore', 'pipe', 'inherit']})
    children.push(child)
    child.stdout.destroy()
    await oracle.tree('a').running()
    oracle.tree('a').exit(4)
    expect(await once(child, 'exit')).toEqual([4, null])
  })

  test('a fixture does not outlive its oracle', async () => {
    const oracle = await Oracle.create()
    const child = start(oracle, 'a')
    await oracle.tree('a').running()
    const exit = once(child, 'exit')
    await oracle[Symbol.asyncDispose]()
    expect(await within('the fixture to end', exit, {withinMs: 2000})).toEqual([99, null])
  })
})

describe("etcd's own view", () => {
  test('tells when a ticket was deleted, by hand or with its lease, over an outage too', async () => {
    await using etcd = await EtcdServer.start()
    await using watch = await TicketWatch.on([etcd.url], 'leash/')
    const lease = await grant(etcd.url, 60)
    await put(etcd.url, 'leash/a', '', lease)
    await put(etcd.url, 'leash/b', '')
    await put(etcd.url, 'other', '')
    await watch.created(({key}) => key === 'leash/b')
    const fromMs = nowMs()
    await revoke(etcd.url, lease)
    const deletedAtMs = await watch.deleted('leash/a', 1000)
    expect(deletedAtMs).toBeGreaterThan(fromMs)
    expect(deletedAtMs - fromMs).toBeLessThan(100)
    await etcd.kill()
    await etcd.restart()
    await deleteKey(etcd.url, 'leash/b')
    await watch.deleted('leash/b', 2000)
    expect(watch.events.map(({type, key}) => `${type} ${key}`)).toEqual([
      'PUT leash/a',
      'PUT leash/b',
      'DELETE leash/a',
      'DELETE leash/b',
    ])
    await expect(watch.deleted('other', 20)).rejects.toThrow(/in vain/)
  })

  test('bounds the expiry from below, to a poll, and follows renewals', async () => {
    await using etcd = await EtcdServer.start()
    await using watch = await TicketWatch.on([etcd.url], 'leash/')
    const lease = await grant(etcd.url, 2)
    await put(etcd.url, 'leash/a', '', lease)
    await using bound = new ExpiryBound([etcd.url], lease)
    await until(
      'the first second to pass',
      () => bound.notBeforeMs > nowMs() + 900 && bound.notBeforeMs < nowMs() + 950,
      {
        withinMs: 3000,
      },
    )
    const beforeMs = nowMs()
    await keepAlive(etcd.url, lease)
    const afterMs = nowMs()
    const deletedAtMs = await watch.deleted('leash/a', 6000)
    expect(bound.notBeforeMs).toBeGreaterThan(beforeMs + 2000 - 60)
    expect(bound.notBeforeMs).toBeLessThan(afterMs + 2000)
    expect(bound.notBeforeMs).toBeLessThan(deletedAtMs)
  })
})
