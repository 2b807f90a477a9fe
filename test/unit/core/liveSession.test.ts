import {describe, expect, test, vi} from 'vitest'
import {keepSession, line} from './liveSession.fixture.ts'

describe('while etcd answers', () => {
  test('renews every quarter of the TTL, and is never lost', async () => {
    const {time, session, renewalsAtMs, news} = await keepSession()
    session.guard()
    await time.advance(3_600_000)
    expect(renewalsAtMs.slice(0, 3)).toEqual([7500, 15_000, 22_500])
    expect(renewalsAtMs).toHaveLength(480)
    expect(session.lost.aborted).toBe(false)
    expect(news).toEqual([])
  })

  test('counts from when the renewal was sent, not from when it was answered', async () => {
    const {time, store, session} = await keepSession()
    store.latency = {thereMs: 1000, backMs: 1000}
    await time.advance(9499)
    expect(session.confirmed?.sentAtMs).toBe(0)
    await time.advance(1)
    expect(session.confirmed?.sentAtMs).toBe(7500)
  })

  test('takes the TTL in the answer for the next timeline', async () => {
    const {time, store, session, ticket} = await keepSession()
    store.etcd.revoke(ticket.lease)
    store.etcd.grant(ticket.lease, 60_000)
    // Only to give the same ticket a lease with another TTL.
    const put = store.etcd.get.bind(store.etcd)
    store.etcd.get = (key) => (key === ticket.key ? {...ticket, value: '', version: 1} : put(key))
    await time.advance(7500)
    expect(session.timeline.ttlMs).toBe(60_000)
    expect(session.timeline.termAfterMs).toBeGreaterThan(line.termAfterMs)
  })

  test('stops renewing when closed, and leaves no timer', async () => {
    const {time, session, renewalsAtMs, store, ticket} = await keepSession()
    session.guard()
    await time.advance(8000)
    session.close()
    await time.advance(60_000)
    expect(renewalsAtMs).toEqual([7500])
    expect(time.timerCount).toBe(0)
    expect(store.etcd.hasLease(ticket.lease)).toBe(false)
  })

  test('closed while a renewal is under way: its answer changes nothing', async () => {
    const {time, store, session, renewalsAtMs} = await keepSession()
    const release = store.holdAnswers('renew')
    await time.advance(7500)
    session.close()
    release()
    await time.advance(60_000)
    expect(renewalsAtMs).toEqual([7500])
    expect(session.confirmed).toBeUndefined()
    expect(session.lost.aborted).toBe(false)
  })
})

test('renewing for a day makes nothing that a signal of the session would remember for ever', async () => {
  const {time, session} = await keepSession()
  session.guard()
  using any = vi.spyOn(AbortSignal, 'any')
  await time.advance(24 * 3_600_000)
  expect(session.confirmed?.sentAtMs).toBeGreaterThan(23 * 3_600_000)
  expect(any).not.toHaveBeenCalled()
})

describe('when renewals fail', () => {
  test('asks again after a second when connections are refused, not at once', async () => {
    const {time, store, renewalsAtMs} = await keepSession()
    store.unreachable = 'refused'
    await time.advance(10_500)
    expect(renewalsAtMs).toEqual([7500, 8500, 9500, 10_500])
  })

  test('asks again at once when an attempt took its whole time', async () => {
    const {time, store, renewalsAtMs} = await keepSession()
    store.unreachable = 'silent'
    await time.advance(7500 + 2 * line.attemptMs)
    expect(renewalsAtMs).toEqual([7500, 7500 + line.attemptMs, 7500 + 2 * line.attemptMs])
  })

  test('says jeopardy once, half-way to TERM, with the time left and the reason', async () => {
    const {time, store, session, news} = await keepSession()
    session.guard()
    store.unreachable = 'refused'
    await time.advance(line.warnAfterMs - 1)
    expect(news).toEqual([])
    await time.advance(9000)
    const [jeopardy, ...more] = news
    expect(more).toEqual([])
    expect(jeopardy).toMatchObject({kind: 'jeopardy', reason: 'fake: refused'})
    expect(jeopardy?.kind === 'jeopardy' && jeopardy.termInMs).toBeCloseTo(line.termAfterMs / 2, -1)
  })

  test('says that it recovered, if it had said jeopardy, and counts from the new renewal', async () => {
    const {time, store, session, news} = await keepSession()
    session.guard()
    store.unreachable = 'refused'
    await time.advance(12_000)
    store.unreachable = undefined
    await time.advance(1000)
    expect(news.map(({kind}) => kind)).toEqual(['jeopardy', 'recovered'])
    await time.advance(3_600_000)
    expect(session.lost.aborted).toBe(false)
  })

  test('says nothing of an outage that ends before half-way', async () => {
    const {time, store, session, news} = await keepSession()
    session.guard()
    store.unreachable = 'refused'
    await time.advance(9000)
    store.unreachable = undefined
    await time.advance(60_000)
    expect(news).toEqual([])
  })

  test.each(['refused', 'silent'] as const)(
    'is lost at the TERM moment when etcd is %s, with KILL on the timeline',
    async (how) => {
      const {time, store, session} = await keepSession()
      session.guard()
      store.unreachable = how
      await time.advance(line.termAfterMs - 1)
      expect(session.lost.aborted).toBe(false)
      await time.advance(2)
      expect(session.lost.reason).toMatchObject({
        kind: 'unconfirmed',
        sentAtMs: 0,
        killAtMs: line.killAfterMs,
      })
      expect(session.gone.aborted).toBe(false)
    },
  )

  test('counts TERM and KILL from the last renewal that was confirmed', async () => {
    const {time, store, session} = await keepSession()
    session.guard()
    await time.advance(16_000)
    store.unreachable = 'silent'
    await time.advance(15_000 + line.termAfterMs - 16_000 + 1)
    expect(session.lost.reason).toMatchObject({sentAtMs: 15_000, killAtMs: 15_000 + line.killAfterMs})
  })

  test('does not take the answers of a deposed leader for renewals', async () => {
    const {time, store, session} = await keepSession()
    session.guard()
    store.deposed = true
    await time.advance(line.termAfterMs + 1)
    expect(session.lost.reason).toMatchObject({
      killAtMs: line.killAfterMs,
      reason: 'the leader changed meanwhile',
    })
  })

  test('is not lost without a child that depends on it: an outage is waited out', async () => {
    const {time, store, session, news} = await keepSession()
    store.unreachable = 'refused'
    await time.advance(29_000)
    store.unreachable = undefined
    await time.advance(1000)
    expect(session.lost.aborted).toBe(false)
    expect(session.confirmed?.sentAtMs).toBeGreaterThan(29_000)
    expect(news).toEqual([])
  })
})

describe('after a loss', () => {
  test('goes on renewing until closed, for the tree may still be dying', async () => {
    const {time, store, session, renewalsAtMs, ticket} = await keepSession()
    session.guard()
    store.unreachable = 'refused'
    await time.advance(line.termAfterMs + 1)
    store.unreachable = undefined
    await time.advance(60_000)
    expect(store.etcd.hasLease(ticket.lease)).toBe(true)
    const renewals = renewalsAtMs.length
    session.close()
    await time.advance(60_000)
    expect(renewalsAtMs).toHaveLength(renewals)
  })

  test('a recovery changes nothing: the first cause stays, and nothing entitles any more', async () => {
    const {time, store, session, news} = await keepSession()
    session.guard()
    store.unreachable = 'refused'
    await time.advance(line.termAfterMs + 1)
    const cause: unknown = session.lost.reason
    store.unreachable = undefined
    await time.advance(60_000)
    expect(session.confirmed).toBeUndefined()
    expect(session.guard()).toBe(false)
    expect(session.lost.reason).toBe(cause)
    expect(news.map(({kind}) => kind)).toEqual(['jeopardy'])
  })

  test('says that the ticket is gone when it is seen missing, and keeps the first cause', async () => {
    const {time, store, session, ticket} = await keepSession()
    session.guard()
    store.unreachable = 'refused'
    await time.advance(line.termAfterMs + 1)
    store.unreachable = undefined
    store.etcd.remove(ticket.key)
    await time.advance(8000)
    expect(session.gone.aborted).toBe(true)
    expect(session.lost.reason).toMatchObject({kind: 'unconfirmed'})
  })
})

describe('a ticket that is gone', () => {
  test('is noticed by the next renewal, and ends it all', async () => {
    const {time, store, session, ticket, renewalsAtMs} = await keepSession()
    session.guard()
    store.etcd.remove(ticket.key)
    await time.advance(60_000)
    expect(session.lost.reason).toEqual({kind: 'ticketGone'})
    expect(session.gone.aborted).toBe(true)
    expect(renewalsAtMs).toEqual([7500])
    expect(time.timerCount).toBe(0)
  })

  test('somebody else may have seen it first', async () => {
    const {session} = await keepSession()
    session.guard()
    session.ticketGone()
    expect(session.lost.reason).toEqual({kind: 'ticketGone'})
    expect(session.gone.aborted).toBe(true)
  })

  test('loses the session of a waiter too', async () => {
    const {time, store, session, ticket} = await keepSession()
    store.etcd.revoke(ticket.lease)
    await time.advance(7500)
    expect(session.lost.reason).toEqual({kind: 'ticketGone'})
  })
})
