import {describe, expect, test, vi} from 'vitest'
import {KeptGuard} from '../../../src/lib/child/keptGuard.ts'
import {identifyKept} from '../../../src/lib/child/processIdentity.ts'
import {isAlive} from '../../support/processes.ts'
import {pause, until, within} from '../../support/wait.ts'
import {soon} from './Contained.ts'
import {guardProgram, renewAfterMs, suspendTo} from './job.fixture.ts'
import {KeptStage} from './kept.fixture.ts'

const loop = 'echo runs; while :; do sleep 0.02; done'
/** Says so when TERM comes, and lives on. */
const stubborn = `trap "echo TERM" TERM; ${loop}`
/** Ends when TERM comes. */
const patient = `trap "echo TERM; exit 3" TERM; ${loop}`
/** Both, one as the child of the other. */
const family = `(trap "" TERM; echo runs too; exec sleep 1000) & ${patient}`

/** How long it is watched that something does not happen. */
const watchMs = 300

const unconfirmed = {is: 'lost', cause: {kind: 'unconfirmed', killAtMs: expect.any(Number) as number}}

describe('what is kept', () => {
  test('gets TERM when the lease is lost, and KILL when its time is over, with its descendants', async () => {
    await using stage = await KeptStage.set(`(${stubborn}) & ${stubborn}`)
    const {job} = stage
    await job.says(/runs\nruns/)
    const end = stage.keep()
    stage.skipTo('TERM')
    await job.says(/TERM\nTERM/)
    stage.skipTo('KILL')
    expect(await end).toMatchObject(unconfirmed)
    await job.isGone()
  })

  test('may end by itself after a loss; who it leaves behind is still killed in time', async () => {
    await using stage = await KeptStage.set(family)
    const {job} = stage
    await job.says(/runs too/)
    const end = stage.keep()
    stage.skipTo('TERM')
    expect(await job.end()).toBe(3)
    expect(job.processes()).toHaveLength(1)
    stage.skipTo('KILL')
    expect(await end).toMatchObject(unconfirmed)
    await job.isGone()
  })

  test('is killed without TERM when the ticket is gone, with its descendants', async () => {
    await using stage = await KeptStage.set(`(${patient}) & ${patient}`)
    const {job} = stage
    await job.says(/runs\nruns/)
    const end = stage.keep()
    stage.lock.childStarted()
    stage.store.etcd.remove(stage.lock.places[0].ticket.key)
    expect(await end).toEqual({is: 'lost', cause: {kind: 'ticketGone'}})
    await job.isGone()
    expect(job.said).not.toContain('TERM')
  })

  test('is killed again, until it was seen dead', async () => {
    await using stage = await KeptStage.set(loop)
    vi.spyOn(stage.kept, 'kill').mockImplementationOnce(() => {})
    const end = stage.keep()
    stage.skipTo('KILL')
    expect(await within('its end', end, soon)).toMatchObject(unconfirmed)
    await stage.job.isGone()
  })

  test('has ended when it has, and who it leaves behind goes on', async () => {
    await using stage = await KeptStage.set(`sleep 1000 & echo $!; ${loop}`)
    const {job} = stage
    const [left = 0] = await job.numbers(1)
    const end = stage.keep()
    process.kill(job.pid, 'SIGKILL')
    expect(await within('its end to be noticed', end, soon)).toEqual({is: 'ended'})
    expect(isAlive(left)).toBe(true)
    await until('the guard to be told', () => stage.orders.includes('empty'), soon)
  })

  test('that the guard had to end while we stood still was lost, though its end is seen first', async () => {
    await using stage = await KeptStage.set(loop)
    const {kept, job} = stage
    const end = stage.keep()
    suspendTo('KILL', stage)
    process.kill(job.pid, 'SIGKILL')
    await until('its end to be noticed', () => kept.ended.aborted, soon)
    expect(await end).toMatchObject(unconfirmed)
  })

  test('is left alone when the lock is given back, whatever comes', async () => {
    await using stage = await KeptStage.set(stubborn)
    const {job} = stage
    const end = stage.keep()
    stage.release()
    expect(await end).toEqual({is: 'released'})
    stage.skipTo('TERM')
    await pause(watchMs)
    expect(job.said).not.toContain('TERM')
    expect(isAlive(job.pid)).toBe(true)
  })

  test('is left alone when the lock is given back, also after a loss', async () => {
    await using stage = await KeptStage.set(stubborn)
    const {job} = stage
    const end = stage.keep()
    stage.skipTo('TERM')
    await job.says(/TERM/)
    stage.release()
    expect(await end).toEqual({is: 'released'})
    stage.skipTo('KILL')
    await until('the guard to be told', () => stage.orders.at(-1) === 'empty', soon)
    await pause(watchMs)
    expect(isAlive(job.pid)).toBe(true)
  })

  test.each<[string, (stage: KeptStage) => void | Promise<void>, object]>([
    ['the lease was lost', (stage) => stage.skipTo('TERM'), unconfirmed],
    ['the lock was given back', (stage) => stage.release(), {is: 'released'}],
    [
      'the process had ended',
      async ({job, kept}) => {
        process.kill(job.pid, 'SIGKILL')
        await until('its end to be noticed', () => kept.ended.aborted, soon)
      },
      {is: 'ended'},
    ],
  ])('is seen to also if %s just before', async (_, before, end) => {
    await using stage = await KeptStage.set(patient)
    await before(stage)
    expect(await within('the end', stage.keep(), soon)).toMatchObject(end)
  })
})

describe('the guard', () => {
  const times = (orders: readonly string[]): number[] =>
    orders.flatMap((order) => Number(/^until (\d+)$/.exec(order)?.[1] ?? NaN)).filter(Boolean)

  test('is told what it keeps, and when to end that', async () => {
    await using stage = await KeptStage.set(loop)
    const {pid, startTicks} = identifyKept(String(stage.job.pid))
    expect(stage.orders).toEqual([
      `keep ${pid} ${startTicks} 15`,
      expect.stringMatching(/^until \d+$/) as string,
    ])
  })

  test('is told a later moment at each confirmed renewal', async () => {
    await using stage = await KeptStage.set(loop)
    for (const count of [2, 3]) {
      stage.time.suspend(renewAfterMs)
      stage.lock.look()
      await until('a later deadline', () => times(stage.orders).length === count, soon)
    }
    const told = times(stage.orders)
    expect(told).toEqual(told.toSorted((one, other) => one - other))
  })

  test('is told the exact moment of KILL at a loss, which is later than that of a frozen keeper', async () => {
    await using stage = await KeptStage.set(stubborn)
    void stage.keep()
    stage.store.unreachable = 'refused'
    stage.skipTo('TERM')
    await until('it to be told', () => times(stage.orders).length === 2, soon)
    const [frozen = 0, exact = 0] = times(stage.orders)
    expect(exact).toBeGreaterThan(frozen)
  })

  test('looks who is there before the gentle signal comes, and before it is told when to end them', async () => {
    await using stage = await KeptStage.set(stubborn)
    void stage.keep()
    stage.skipTo('TERM')
    await stage.job.says(/TERM/)
    expect(stage.orders.slice(2)).toEqual(['see', expect.stringMatching(/^until \d+$/)])
  })

  test('is not waited for when it does not answer', async () => {
    await using stage = await KeptStage.set(stubborn)
    stage.muteGuards()
    void stage.keep()
    stage.skipTo('TERM')
    await stage.job.says(/TERM/)
  })

  test('that looks for long does not have the gentle signal come after the lock was given back', async () => {
    await using stage = await KeptStage.set(stubborn)
    stage.muteGuards()
    const end = stage.keep()
    stage.skipTo('TERM')
    stage.release()
    expect(await end).toEqual({is: 'released'})
    stage.muteGuards(false)
    await pause(watchMs)
    expect(stage.job.said).not.toContain('TERM')
  })

  test('is to kill, too, when the ticket is gone', async () => {
    await using stage = await KeptStage.set(loop)
    const end = stage.keep()
    stage.lock.childStarted()
    stage.store.etcd.remove(stage.lock.places[0].ticket.key)
    await end
    await until('it to be told', () => times(stage.orders).length === 2, soon)
    const [armed = 0, soonAfter = 0] = times(stage.orders)
    expect(soonAfter).toBeLessThan(armed)
  })

  test('is followed by another when it dies, which stands when it was told the same; what is kept is left alone', async () => {
    await using stage = await KeptStage.set(patient)
    const {guards, job} = stage
    void stage.keep()
    process.kill(guards[0]?.pid ?? 0, 'SIGKILL')
    await until('another to stand', () => guards.length === 2, soon)
    expect(guards[1]?.orders.slice(2)).toEqual(stage.orders.slice(0, 2))
    expect(guards[1]?.pid).not.toEqual(guards[0]?.pid)
    expect(stage.guard.failed.aborted).toBe(false)
    expect(isAlive(job.pid)).toBe(true)
  })

  test('that dies again at once is as a loss: what is kept is ended, with TERM first', async () => {
    await using stage = await KeptStage.set(patient)
    const {guards, job} = stage
    const end = stage.keep()
    process.kill(guards[0]?.pid ?? 0, 'SIGKILL')
    await until('another to stand', () => guards.length === 2, soon)
    process.kill(guards[1]?.pid ?? 0, 'SIGKILL')
    expect(await end).toEqual({is: 'lost', cause: {kind: 'unguarded'}})
    await job.says(/TERM/)
  })

  test('that dies when the lock was given back is not followed by another', async () => {
    await using stage = await KeptStage.set(loop)
    const [guard] = stage.guards
    stage.guard.standDown()
    process.kill(guard?.pid ?? 0, 'SIGKILL')
    await until('it to be gone', () => !isAlive(guard?.pid ?? 0), soon)
    await pause(watchMs)
    expect(stage.guards).toHaveLength(1)
  })

  test('is not started without being able to stand', async () => {
    await using stage = await KeptStage.set(loop)
    const kept = identifyKept(String(stage.job.pid))
    const plan = {
      ...guardProgram,
      env: {PATH: '/nowhere'},
      kept,
      stopSignal: 'SIGTERM',
      onStanding: () => {},
    } as const
    await expect(KeptGuard.start(plan, stage.clock)).rejects.toMatchObject({code: 'notExecutable'})
  })

  test('is gone when it is dismissed, and no other stands', async () => {
    await using stage = await KeptStage.set(loop)
    const [guard] = stage.guards
    await stage.guard.dismiss()
    await until('it to be gone', () => !isAlive(guard?.pid ?? 0), soon)
    expect(stage.guards).toHaveLength(1)
  })
})
