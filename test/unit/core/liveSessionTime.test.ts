import {describe, expect, test} from 'vitest'
import {keepSession, line} from './liveSession.fixture.ts'

describe('suspend', () => {
  test('past the TERM moment is a loss as soon as the machine is back, with a KILL moment that is past', async () => {
    const {time, clock, session} = await keepSession()
    session.guard()
    await time.advance(3000)
    time.suspend(60_000)
    await time.advance(1000)
    expect(session.lost.reason).toMatchObject({kind: 'unconfirmed', killAtMs: line.killAfterMs})
    expect(session.lost.reason).toHaveProperty('reason', expect.stringContaining('suspend'))
    expect(clock.elapsedMs()).toBeGreaterThan(line.killAfterMs)
  })

  test('shorter than that is no loss, and renews at once', async () => {
    const {time, session, renewalsAtMs} = await keepSession()
    session.guard()
    await time.advance(3000)
    time.suspend(10_000)
    await time.advance(1000)
    expect(session.lost.aborted).toBe(false)
    expect(renewalsAtMs).toHaveLength(1)
    expect(session.confirmed?.sentAtMs).toBeGreaterThanOrEqual(13_000)
  })
})

describe('a wall clock', () => {
  test.each([3_600_000, -3_600_000])('that is stepped by %i ms loses nothing', async (stepMs) => {
    const {time, session, news} = await keepSession()
    session.guard()
    for (let second = 0; second < 120; second++) {
      if (second % 7 === 0) time.stepWall(stepMs)
      await time.advance(1000)
    }
    expect(session.lost.aborted).toBe(false)
    expect(news).toEqual([])
  })

  test('that jumps ahead has the lease confirmed at once, once', async () => {
    const {time, session, renewalsAtMs} = await keepSession()
    session.guard()
    await time.advance(2000)
    time.stepWall(3_600_000)
    await time.advance(1000)
    expect(renewalsAtMs).toEqual([3000])
    await time.advance(7499)
    expect(renewalsAtMs).toHaveLength(1)
  })

  test('that is set back causes no renewal', async () => {
    const {time, session, renewalsAtMs} = await keepSession()
    session.guard()
    await time.advance(2000)
    time.stepWall(-3_600_000)
    await time.advance(5499)
    expect(renewalsAtMs).toEqual([])
  })

  test('that jumps ahead while etcd does not answer is no loss before its time', async () => {
    const {time, store, session} = await keepSession()
    session.guard()
    store.unreachable = 'silent'
    await time.advance(2000)
    time.stepWall(3_600_000)
    await time.advance(line.termAfterMs - 2000 - 1)
    expect(session.lost.aborted).toBe(false)
  })

  test('that jumps ahead while a renewal is under way has it confirmed once more: its evidence is older', async () => {
    const {time, store, session, renewalsAtMs} = await keepSession()
    session.guard()
    const release = store.holdAnswers('renew')
    await time.advance(7500)
    time.stepWall(3_600_000)
    release()
    await time.advance(1000)
    expect(renewalsAtMs).toHaveLength(2)
  })
})

describe('a process that stood still', () => {
  test('past the TERM moment has lost when it goes on', async () => {
    const {time, session} = await keepSession()
    session.guard()
    await time.advance(5000)
    time.block(30_000)
    await time.advance(1)
    expect(session.lost.reason).toMatchObject({killAtMs: line.killAfterMs})
  })

  test('looks at the clock before it counts a renewal that was answered meanwhile', async () => {
    const {time, store, session} = await keepSession()
    session.guard()
    const release = store.holdAnswers('renew')
    await time.advance(7500)
    // Sent at 7.5 s, answered, and seen only after even that renewal entitles to nothing any more.
    time.block(30_000)
    release()
    await time.advance(0)
    expect(session.lost.aborted).toBe(true)
  })

  test('past the TERM moment has lost, also if a renewal was answered meanwhile: its guard may have acted', async () => {
    const {time, store, session} = await keepSession()
    session.guard()
    const release = store.holdAnswers('renew')
    await time.advance(7500)
    // The TERM moment of the grant is past, that of the renewal is not, and the ticket was seen.
    time.block(line.termAfterMs - 7500 + 1000)
    release()
    await time.advance(0)
    expect(session.lost.reason).toMatchObject({kind: 'unconfirmed', sentAtMs: 0, killAtMs: line.killAfterMs})
  })

  test('counts a renewal that was answered meanwhile from when it was sent', async () => {
    const {time, clock, store, session} = await keepSession()
    session.guard()
    const release = store.holdAnswers('renew')
    await time.advance(7500)
    time.block(line.termAfterMs - 7500 - 1000)
    store.unreachable = 'silent'
    release()
    await time.advance(7500 + line.termAfterMs - clock.elapsedMs() - 1)
    expect(session.lost.aborted).toBe(false)
    await time.advance(2)
    expect(session.lost.reason).toMatchObject({kind: 'unconfirmed', sentAtMs: 7500})
  })

  test('has lost as soon as it looks, before any timer', async () => {
    const {time, session} = await keepSession()
    session.guard()
    time.block(line.termAfterMs - 1)
    session.look()
    expect(session.lost.aborted).toBe(false)
    time.block(1)
    session.look()
    expect(session.lost.reason).toMatchObject({killAtMs: line.killAfterMs})
  })
})

test('a renewal that is answered after the TERM moment comes too late', async () => {
  const {time, store, session} = await keepSession()
  session.guard()
  store.unreachable = 'refused'
  await time.advance(line.termAfterMs - 100)
  store.unreachable = undefined
  store.latency = {thereMs: 600, backMs: 600}
  await time.advance(1200)
  expect(session.lost.reason).toMatchObject({sentAtMs: 0, killAtMs: line.killAfterMs})
})

describe('guard', () => {
  test('says yes while renew interval, one retry, grace and kill margin remain, and no afterwards', async () => {
    const slackMs = line.entitledMs - line.startNeedsMs
    const early = await keepSession()
    early.time.block(slackMs)
    expect(early.session.guard()).toBe(true)
    const late = await keepSession()
    late.time.block(slackMs + 0.1)
    expect(late.session.guard()).toBe(false)
  })

  test('that says no changes nothing: the session is still not lost by an outage', async () => {
    const {time, store, session} = await keepSession()
    store.unreachable = 'refused'
    await time.advance(line.entitledMs)
    expect(session.guard()).toBe(false)
    await time.advance(60_000)
    expect(session.lost.aborted).toBe(false)
  })

  test('says no when time went by in a suspend', async () => {
    const {time, session} = await keepSession()
    time.suspend(line.entitledMs)
    expect(session.guard()).toBe(false)
  })
})

describe('confirmNow', () => {
  const {signal} = new AbortController()

  test('renews at once, and resolves when that is confirmed', async () => {
    const {time, session, renewalsAtMs} = await keepSession()
    await time.advance(1000)
    await time.passing(session.confirmNow(signal))
    expect(renewalsAtMs).toEqual([1000])
    expect(session.confirmed?.sentAtMs).toBe(1000)
  })

  test('does not take a renewal for it that was under way already', async () => {
    const {time, store, session, renewalsAtMs} = await keepSession()
    const release = store.holdAnswers('renew')
    await time.advance(7500)
    await time.advance(10)
    const confirmed = session.confirmNow(signal).then(() => session.confirmed?.sentAtMs)
    release()
    expect(await time.passing(confirmed)).toBe(7510)
    expect(renewalsAtMs).toEqual([7500, 7510])
  })

  test('waits over an outage', async () => {
    const {time, store, session} = await keepSession()
    store.unreachable = 'refused'
    const confirmed = session.confirmNow(signal)
    await time.advance(15_000)
    store.unreachable = undefined
    await time.passing(confirmed)
    expect(session.confirmed?.sentAtMs).toBeGreaterThanOrEqual(15_000)
  })

  test('rejects with the cause of a loss', async () => {
    const {time, store, session, ticket} = await keepSession()
    store.etcd.remove(ticket.key)
    await expect(time.passing(session.confirmNow(signal))).rejects.toEqual({kind: 'ticketGone'})
    await expect(session.confirmNow(signal)).rejects.toEqual({kind: 'ticketGone'})
  })

  test('rejects with the reason of its signal', async () => {
    const {store, session} = await keepSession()
    store.unreachable = 'silent'
    const control = new AbortController()
    const confirmed = session.confirmNow(control.signal)
    control.abort('enough')
    await expect(confirmed).rejects.toBe('enough')
  })
})
