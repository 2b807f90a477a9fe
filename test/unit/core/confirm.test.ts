import {beforeEach, describe, expect, test} from 'vitest'
import {Clock} from '../../../src/lib/core/clock.ts'
import {type Confirmation, confirm} from '../../../src/lib/core/confirm.ts'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'
import type {Ticket} from '../../../src/lib/core/ticket.ts'
import {FakeClock} from '../../support/fakeClock.ts'
import {FakeStore} from '../../support/fakeStore.ts'

const lease = 77n as LeaseId
const key = 'leash/lock/nightly/4d'
const limitMs = 10_000

let time: FakeClock
let clock: Clock
let store: FakeStore
let ticket: Ticket
beforeEach(() => {
  time = new FakeClock()
  clock = new Clock(time)
  store = new FakeStore(clock)
  store.etcd.grant(lease, 30_000)
  store.etcd.put({key, value: '', lease})
  ticket = {key, lease, createRevision: store.etcd.get(key)?.createRevision ?? 0n}
})

const confirmed = (): Promise<Confirmation> => confirm([ticket], {store, clock}, limitMs)

describe('a renewal by hand', () => {
  test('is confirmed as of when it was sent, and the lease counts anew', async () => {
    await time.advance(20_000)
    store.latency = {thereMs: 100, backMs: 300}
    expect(await time.passing(confirmed())).toEqual({is: 'confirmed', sentAtMs: 20_000, ttlMs: 30_000})
    expect(store.etcd.expiryOf(lease)).toBe(50_100)
    expect(store.arrived).toEqual(['renew'])
  })

  test('says that the ticket is gone if it is, at once', async () => {
    store.etcd.remove(key)
    expect(await confirmed()).toEqual({is: 'ticketGone'})
  })

  test('says so too if another one has come in its place', async () => {
    store.etcd.remove(key)
    store.etcd.put({key, value: '', lease})
    expect(await confirmed()).toEqual({is: 'ticketGone'})
  })

  test.each(['refused', 'silent'] as const)('tries again while etcd is away (%s)', async (how) => {
    store.unreachable = how
    const result = confirmed()
    await time.advance(5000)
    store.unreachable = undefined
    expect(await time.passing(result)).toMatchObject({is: 'confirmed'})
  })

  test('tries again after an answer of a leader that was deposed', async () => {
    store.deposed = true
    const result = confirmed()
    await time.advance(1000)
    store.deposed = false
    expect(await time.passing(result)).toMatchObject({is: 'confirmed'})
  })

  test.each<[string, () => void, string]>([
    ['etcd stays away', () => (store.unreachable = 'refused'), 'fake: refused'],
    ['the leader stays deposed', () => (store.deposed = true), 'the leader changed meanwhile'],
  ])('fails in the end with its reason when %s', async (_, break_, reason) => {
    break_()
    const result = confirmed()
    const refusal = expect(result).rejects.toMatchObject({
      code: 'unavailable',
      message: `the lease has not been confirmed: ${reason}`,
    })
    await time.advance(limitMs)
    await refusal
    expect(store.etcd.get(key)).toBeDefined()
  })
})
