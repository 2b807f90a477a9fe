import {describe, expect, test} from 'vitest'
import {endHold} from '../../../src/lib/core/heldLock.ts'
import {keepSession} from './liveSession.fixture.ts'
import {World, line, markKey, rawKeys, watch} from './world.fixture.ts'

/** What a guard goes by, and what is done in the place of a leash that died. */
describe('who is told of confirmed renewals', () => {
  test('hears of each, also after a loss', async () => {
    const {time, store, session, renewalsAtMs} = await keepSession()
    session.guard()
    const sentAtMs: number[] = []
    session.onConfirmed(() => sentAtMs.push(session.sentAtMs))
    expect(session.sentAtMs).toBe(0)
    await time.advance(7500)
    store.unreachable = 'refused'
    await time.advance(7500 + line.termAfterMs)
    expect(session.lost.aborted).toBe(true)
    expect(sentAtMs).toEqual([7500])
    store.unreachable = undefined
    await time.advance(7500)
    expect(sentAtMs.length).toBeGreaterThan(1)
    expect(sentAtMs.at(-1)).toBe(renewalsAtMs.findLast((atMs) => atMs <= session.sentAtMs))
  })

  test('does not hear of one that failed', async () => {
    const {time, store, session} = await keepSession()
    let confirmations = 0
    session.onConfirmed(() => confirmations++)
    store.deposed = true
    await time.advance(15_000)
    expect(confirmations).toBe(0)
    expect(session.sentAtMs).toBe(0)
  })

  test('is not set back by an answer to an older one', async () => {
    const {time, store, session} = await keepSession()
    await time.advance(7500)
    const renew = store.renew.bind(store)
    store.renew = async (...parameters) => {
      store.renew = renew
      return {...(await renew(...parameters)), sentAtMs: 5000}
    }
    let sentAtMs = 0
    session.onConfirmed(() => (sentAtMs ||= session.sentAtMs))
    await time.advance(7500)
    expect(sentAtMs).toBe(7500)
  })
})

describe('the moment at which the guard ends the tree', () => {
  test('follows the latest confirmed renewal', async () => {
    const world = new World()
    const lock = await world.client().held()
    expect(lock.guardAtMs).toBe(line.guardAfterMs)
    await world.time.advance(line.renewAfterMs)
    expect(lock.guardAtMs).toBe(line.renewAfterMs + line.guardAfterMs)
  })

  test('is that of KILL after a loss, whatever is confirmed later', async () => {
    const world = new World()
    const us = world.client()
    const lock = await us.held()
    us.store.unreachable = 'refused'
    await world.time.advance(line.termAfterMs)
    expect(lock.guardAtMs).toBe(line.killAfterMs)
    us.store.unreachable = undefined
    await world.time.advance(2000)
    expect(lock.entitledUntilMs).toBeGreaterThan(line.entitledMs)
    expect(lock.guardAtMs).toBe(line.killAfterMs)
  })

  test('stays when the ticket was taken away: leash kills at once', async () => {
    const world = new World()
    const lock = await world.client().held()
    lock.childStarted()
    await world.time.advance(1000)
    world.etcd.remove(lock.places[0].ticket.key)
    await world.time.advance(0)
    expect(lock.lost.reason).toEqual({kind: 'ticketGone'})
    expect(lock.guardAtMs).toBe(line.guardAfterMs)
  })
})

test('the entitlement lasts longer with each confirmed renewal, also after a loss', async () => {
  const world = new World()
  const us = world.client()
  const lock = await us.held()
  expect(lock.entitledUntilMs).toBe(line.entitledMs)
  us.store.unreachable = 'refused'
  await world.time.advance(line.termAfterMs)
  expect(lock.lost.aborted).toBe(true)
  expect(lock.entitledUntilMs).toBe(line.entitledMs)
  us.store.unreachable = undefined
  await world.time.advance(2000)
  expect(lock.entitledUntilMs).toBeGreaterThan(line.termAfterMs + line.entitledMs)
})

test('a loss that nobody has noticed is one as soon as somebody looks', async () => {
  const world = new World()
  const lock = await world.client().held()
  world.time.block(line.termAfterMs)
  expect(lock.lost.aborted).toBe(false)
  lock.look()
  expect(lock.lost.reason).toMatchObject({kind: 'unconfirmed', killAtMs: line.killAfterMs})
})

describe('what a clean end needs', () => {
  test('is ticket and mark', async () => {
    const world = new World()
    const lock = await world.client().held()
    expect(lock.ending).toEqual([{ticket: lock.places[0].ticket, markKey}])
  })

  test('is the ticket alone for a raw key', async () => {
    const lock = await new World().client().held({locks: [rawKeys]})
    expect(lock.ending).toEqual([{ticket: lock.places[0].ticket}])
  })

  test('is nothing if a lock-delay is to keep others out', async () => {
    const lock = await new World().client().held({terms: {lockDelayMs: 1000}})
    expect(lock.ending).toBeUndefined()
  })
})

describe('a clean end in the place of a leash that died', () => {
  test('leaves nothing, and lets the next holder start at once', async () => {
    const world = new World()
    const {ending} = await world.client().held()
    if (ending === undefined) throw new Error('nothing to end')
    const next = watch(world.client().acquire())
    await world.time.advance(1000)
    const other = world.client()
    expect(await world.time.passing(endHold(other.store, world.clock, ending))).toBe('removed')
    expect(other.store.arrived).toEqual(['dequeue', 'revoke'])
    await world.time.advance(0)
    expect(next.value?.is).toBe('held')
    expect(world.queue).toHaveLength(1)
    expect(world.etcd.leases).toHaveLength(1)
  })

  test('after the ticket is gone says so, and takes the mark away', async () => {
    const world = new World()
    const lock = await world.client().held()
    world.etcd.remove(lock.places[0].ticket.key)
    const {ending} = lock
    if (ending === undefined) throw new Error('nothing to end')
    expect(await endHold(world.client().store, world.clock, ending)).toBe('gone')
    expect(world.mark).toBeUndefined()
  })

  test('fails after five seconds if etcd does not answer, and never throws', async () => {
    const world = new World()
    const {ending} = await world.client().held()
    if (ending === undefined) throw new Error('nothing to end')
    const other = world.client()
    other.store.unreachable = 'silent'
    const ended = watch(endHold(other.store, world.clock, ending))
    await world.time.advance(4999)
    expect(ended.pending).toBe(true)
    await world.time.advance(1)
    expect(ended.value).toBe('failed')
  })
})
