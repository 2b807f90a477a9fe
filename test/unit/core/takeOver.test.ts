import {beforeEach, describe, expect, test} from 'vitest'
import {Clock} from '../../../src/lib/core/clock.ts'
import type {HeldLock} from '../../../src/lib/core/heldLock.ts'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'
import {lockKeys} from '../../../src/lib/core/lockName.ts'
import type {Ticket} from '../../../src/lib/core/ticket.ts'
import {type LeftHold, takeOver} from '../../../src/lib/core/takeOver.ts'
import {timeline} from '../../../src/lib/core/timeline.ts'
import {FakeClock} from '../../support/fakeClock.ts'
import {FakeStore} from '../../support/fakeStore.ts'

const ttlMs = 30_000
const line = timeline(ttlMs, {lockDelayMs: 0})
const lease = 77n as LeaseId
const nobody = new AbortController().signal

let time: FakeClock
let clock: Clock
let store: FakeStore
beforeEach(() => {
  time = new FakeClock()
  clock = new Clock(time)
  store = new FakeStore(clock)
})

/** A hold of these locks that somebody has just left. */
const left = (...names: [string, ...string[]]): LeftHold => {
  store.etcd.grant(lease, ttlMs)
  const place = (name: string): LeftHold['places'][0] => {
    const keys = lockKeys('leash/', name)
    const key = `${keys.queuePrefix}4d`
    store.etcd.put({key, value: 'theirs', lease}, {key: keys.markKey ?? '', value: '4d'})
    const ticket: Ticket = {key, lease, createRevision: store.etcd.get(key)?.createRevision ?? 0n}
    return {keys, ticket}
  }
  const [first, ...others] = names
  return {
    places: [place(first), ...others.map(place)],
    ttlMs,
    terms: {lockDelayMs: 0},
    sentAtMs: clock.elapsedMs(),
  }
}

const taken = (hold: LeftHold, signal = nobody): Promise<HeldLock> =>
  takeOver(hold, {store, clock, tell: () => {}}, signal)

describe('to take over', () => {
  test('is to have renewed it, and to renew it from then on until it is left', async () => {
    const hold = left('nightly')
    await time.advance(1000)
    const lock = await time.passing(taken(hold))
    expect(store.arrived).toEqual(['renew'])
    expect(lock.sentAtMs).toBe(1000)
    await time.advance(3 * ttlMs)
    expect(store.etcd.hasLease(lease)).toBe(true)
    expect(lock.lost.aborted).toBe(false)
    lock.leave()
    await time.advance(2 * ttlMs)
    expect(store.etcd.hasLease(lease)).toBe(false)
    expect(time.timerCount).toBe(0)
  })

  test('is to be guarded: without renewals it is lost in time', async () => {
    const lock = await time.passing(taken(left('nightly')))
    store.unreachable = 'silent'
    await time.advance(line.termAfterMs)
    expect(lock.lost.reason).toMatchObject({kind: 'unconfirmed'})
    lock.leave()
  })

  test('puts nothing into etcd: mark and ticket are there', async () => {
    const hold = left('nightly')
    const {revision} = store.etcd
    const lock = await time.passing(taken(hold))
    lock.childStarted()
    await time.advance(1000)
    expect(store.etcd.revision).toBe(revision)
    expect(await time.passing(lock.release(true))).toBe('removed')
    expect(store.etcd.under('')).toEqual([])
  })

  test('waits for etcd as long as it may, also past the end of the lease as the other counted it', async () => {
    const hold = left('nightly')
    store.unreachable = 'refused'
    const taking = taken(hold)
    await time.advance(line.entitledMs)
    // etcd has not counted while it was away.
    store.etcd.keepAlive(lease)
    store.unreachable = undefined
    const lock = await time.passing(taking)
    expect(lock.lost.aborted).toBe(false)
    lock.leave()
  })

  test('needs a confirmed renewal: a deposed leader is not enough', async () => {
    store.deposed = true
    const giveUp = new AbortController()
    const taking = taken(left('nightly'), giveUp.signal)
    await time.advance(5000)
    giveUp.abort(new Error('in vain'))
    await expect(taking).rejects.toThrow('in vain')
    expect(time.timerCount).toBe(1)
  })

  test.each([0, 1])('fails if ticket %i of two is gone, and renews no more', async (index) => {
    const hold = left('a', 'b')
    store.etcd.remove(hold.places[index]?.ticket.key ?? '')
    await expect(time.passing(taken(hold))).rejects.toEqual({kind: 'ticketGone'})
    const {length} = store.arrived
    await time.advance(ttlMs / 2)
    expect(store.arrived).toHaveLength(length)
  })

  test('loses all when one of two goes later', async () => {
    const hold = left('a', 'b')
    const lock = await time.passing(taken(hold))
    store.etcd.remove(hold.places[1]?.ticket.key ?? '')
    await time.advance(line.renewAfterMs)
    expect(lock.lost.reason).toEqual({kind: 'ticketGone'})
    lock.leave()
  })
})
