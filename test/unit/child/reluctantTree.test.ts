import {afterEach, expect, test, vi} from 'vitest'
import {isAlive} from '../../support/processes.ts'
import {until} from '../../support/wait.ts'
import {Stage, renewAfterMs, supervise} from './job.fixture.ts'

/** Trees that are hard to kill, or were killed too late. */
const stubborn = 'trap "" TERM; note runs; while :; do sleep 0.02; done'
const soon = {withinMs: 10_000}

afterEach(() => vi.restoreAllMocks())

test('a job that is alive when the lease has run out may overlap with another one, though it dies at once', async () => {
  await using stage = await Stage.set(stubborn)
  const {end, news} = supervise(stage)
  await stage.says(/runs/)
  stage.skipTo('end')
  expect(await end).toMatchObject({child: {signal: 'SIGKILL'}, overlapSeen: true})
  expect(news).toEqual(['overlapPossible'])
})

test('a job that is dead and not yet reaped overlaps with nobody', async () => {
  await using stage = await Stage.set(stubborn)
  const {end, news} = supervise(stage)
  await stage.says(/runs/)
  const {pid = 0} = stage.job.process
  stage.job.containment.kill()
  // Without a turn of the event loop, Node does not reap it.
  while (isAlive(pid) || !stage.job.containment.isEmpty());
  stage.skipTo('end')
  expect(await end).toMatchObject({child: {signal: 'SIGKILL'}, overlapSeen: false})
  expect(news).toEqual([])
})

test('what a kill has missed is killed again, and the guard is told to kill in a moment, too', async () => {
  await using stage = await Stage.set(stubborn, {recording: true})
  const {clock, lock} = stage
  stage.tell('answer')
  await stage.job.arm(lock, new AbortController().signal)
  vi.spyOn(stage.job.containment, 'kill').mockImplementationOnce(() => {})
  const {end} = supervise(stage)
  await stage.says(/runs/)
  lock.childStarted()
  stage.store.etcd.remove(lock.places[0].ticket.key)
  expect(await end).toMatchObject({child: {signal: 'SIGKILL'}, overlapSeen: false})
  await until('the guard to be told', () => stage.orders.at(-1) === 'empty', soon)
  const times = stage.orders.flatMap((order) => /^until (\d+)$/.exec(order)?.slice(1).map(Number) ?? [])
  // In hundredths of a second. Its first deadline was minutes away.
  expect(times.at(-1)).toBeLessThanOrEqual(clock.bootMsAt(clock.elapsedMs() + 100) / 10)
})

test('a loss lets the guard wait for the moment of KILL itself', async () => {
  await using stage = await Stage.set(stubborn, {recording: true})
  stage.tell('answer')
  await stage.job.arm(stage.lock, new AbortController().signal)
  const {end} = supervise(stage)
  await stage.says(/runs/)
  stage.store.unreachable = 'silent'
  stage.skipTo('TERM')
  const times = (): number[] =>
    stage.orders.map((order) => Number(/^until (\d+)$/.exec(order)?.[1])).filter(Boolean)
  await until('the guard to be told', () => times().length === 2, soon)
  // Hundredths of a second; both were rounded down.
  expect((times()[1] ?? 0) - (times()[0] ?? 0) - 10).toBeOneOf([-1, 0, 1])
  stage.store.unreachable = undefined
  stage.job.containment.kill()
  await end
})

test('a tree that cannot be killed is told of once, and kept under the lock while etcd confirms it', async () => {
  await using stage = await Stage.set(stubborn)
  const run = supervise(stage)
  await stage.says(/runs/)
  const isEmpty = vi.spyOn(stage.job.containment, 'isEmpty').mockReturnValue(false)
  const renewals = (): number => stage.store.arrived.filter((method) => method === 'renew').length
  stage.skipTo('TERM')
  for (const count of [1, 2, 3]) {
    await until('a renewal', () => renewals() >= count, soon)
    stage.time.suspend(renewAfterMs)
  }
  await until('it to be told', () => run.news.length > 0, soon)
  expect(run.news).toEqual(['unkillable'])
  isEmpty.mockRestore()
  expect(await run.end).toMatchObject({cause: {kind: 'unconfirmed'}, overlapSeen: false})
})

test('an overlap is told when the lease runs out over a tree that cannot be killed', async () => {
  await using stage = await Stage.set(stubborn)
  const run = supervise(stage)
  await stage.says(/runs/)
  const isEmpty = vi.spyOn(stage.job.containment, 'isEmpty').mockReturnValue(false)
  stage.store.unreachable = 'silent'
  stage.skipTo('KILL')
  await until('it to be told', () => run.news.length === 1, soon)
  stage.suspendTo('end')
  await until('the overlap to be told', () => run.news.length === 2, soon)
  expect(run.news).toEqual(['unkillable', 'overlapPossible'])
  stage.store.unreachable = undefined
  isEmpty.mockRestore()
  expect(await run.end).toMatchObject({overlapSeen: true})
})

test('an overlap is told soon after a ticket was taken away, for the next holder only settles', async () => {
  await using stage = await Stage.set(stubborn)
  const run = supervise(stage)
  await stage.says(/runs/)
  const isEmpty = vi.spyOn(stage.job.containment, 'isEmpty').mockReturnValue(false)
  stage.lock.childStarted()
  stage.store.etcd.remove(stage.lock.places[0].ticket.key)
  await until('the overlap to be told', () => run.news.includes('overlapPossible'), soon)
  isEmpty.mockRestore()
  expect(await run.end).toMatchObject({cause: {kind: 'ticketGone'}, overlapSeen: true})
})
