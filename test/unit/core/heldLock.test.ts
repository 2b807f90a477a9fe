import {describe, expect, test} from 'vitest'
import {World, line, markKey, notAtAll, rawKeys, watch} from './world.fixture.ts'

describe('a clean release', () => {
  test('removes ticket and mark at once, then revokes, and nothing is left', async () => {
    const world = new World()
    const us = world.client()
    const lock = await us.held()
    lock.childStarted()
    expect(await lock.release(true)).toBe('removed')
    expect(us.store.arrived).toEqual(['grant', 'enqueue', 'dequeue', 'revoke'])
    expect(world.etcd.under('')).toEqual([])
    expect(world.etcd.leases).toEqual([])
    await world.time.advance(0)
    expect(world.time.timerCount).toBeLessThanOrEqual(1)
    await world.time.advance(60_000)
    expect(us.store.arrived).toHaveLength(4)
  })

  test('of a hold with a lock-delay ends the lease as well: the delay is for unclean ends', async () => {
    const world = new World()
    const lock = await world.client().held({terms: {lockDelayMs: 15_000}})
    await lock.release(true)
    expect(world.etcd.leases).toEqual([])
  })

  test('lets the next holder start after the transaction, before the revoke', async () => {
    const world = new World()
    const [us, next] = [world.client(), world.client()]
    const lock = await us.held()
    const acquiring = watch(next.acquire())
    await world.time.advance(1000)
    us.store.holdAnswers('revoke')
    void lock.release(true)
    await world.time.advance(0)
    expect(acquiring.value?.is).toBe('held')
  })

  test('whose answer was lost is unknown, and the lease is revoked', async () => {
    const world = new World()
    const us = world.client()
    const lock = await us.held()
    us.store.loseAnswer('dequeue')
    expect(await world.time.passing(lock.release(true))).toBe('unknown')
    expect(world.etcd.leases).toEqual([])
    expect(world.mark).toBeUndefined()
  })

  test('of a ticket that somebody had removed says gone, and removes the mark', async () => {
    const world = new World()
    const lock = await world.client().held()
    world.etcd.remove(lock.places[0].ticket.key)
    expect(await lock.release(true)).toBe('gone')
    expect(world.mark).toBeUndefined()
  })

  test('that is not answered fails after five seconds, never throws, and no longer renews', async () => {
    const world = new World()
    const us = world.client()
    const lock = await us.held()
    us.store.unreachable = 'silent'
    const release = watch(lock.release(true))
    await world.time.advance(4999)
    expect(release.pending).toBe(true)
    await world.time.advance(1)
    expect(release.value).toBe('failed')
    us.store.unreachable = undefined
    await world.time.advance(60_000)
    expect(us.store.arrived).not.toContain('renew')
    expect(world.etcd.leases).toEqual([])
  })

  test('goes on renewing until it is answered: the ticket is ours until then', async () => {
    const world = new World()
    const us = world.client()
    const lock = await us.held({ttlMs: 4000})
    us.store.holdAnswers('dequeue')
    void lock.release(true)
    await world.time.advance(3000)
    expect(us.store.arrived).toContain('renew')
  })
})

describe('a release after a loss', () => {
  test('with a lock-delay neither removes nor revokes anything: the lease runs out', async () => {
    const world = new World()
    const us = world.client()
    const lock = await us.held({terms: {lockDelayMs: 15_000}})
    expect(await lock.release(false)).toBe('leftToRun')
    expect(us.store.arrived).toEqual(['grant', 'enqueue'])
    await world.time.advance(44_999)
    expect(world.queue).toHaveLength(1)
    await world.time.advance(1)
    expect(world.queue).toEqual([])
    expect(world.mark).toBeDefined()
  })

  test('without one removes and revokes, for the tree is dead', async () => {
    const world = new World()
    const lock = await world.client().held()
    expect(await lock.release(false)).toBe('removed')
    expect(world.etcd.leases).toEqual([])
    expect(world.mark).toBeUndefined()
  })

  test('does not wait longer than a second for an etcd that has not answered for most of a TTL', async () => {
    const world = new World()
    const us = world.client()
    const lock = await us.held()
    us.store.unreachable = 'silent'
    const release = watch(lock.release(false))
    await world.time.advance(1000)
    expect(release.value).toBe('failed')
  })
})

describe('the mark', () => {
  test('of a newcomer stands from its ticket on', async () => {
    const world = new World()
    const lock = await world.client().held()
    expect(world.mark?.createRevision).toBe(lock.places[0].ticket.createRevision)
  })

  test('of a waiter is put after its child has started, not before', async () => {
    const world = new World()
    const first = await world.client().held()
    const us = world.client()
    const acquiring = watch(us.acquire())
    await world.time.advance(0)
    await first.release(true)
    await world.time.advance(0)
    if (acquiring.value?.is !== 'held') throw new Error('not held')
    expect(world.mark).toBeUndefined()
    acquiring.value.lock.childStarted()
    await world.time.advance(0)
    expect(world.mark).toBeDefined()
  })

  test('that a waiter cannot put, for its ticket is gone, ends the child', async () => {
    const world = new World()
    const first = await world.client().held()
    const us = world.client()
    const acquiring = watch(us.acquire())
    await world.time.advance(0)
    await first.release(true)
    await world.time.advance(0)
    if (acquiring.value?.is !== 'held') throw new Error('not held')
    const {lock} = acquiring.value
    world.etcd.remove(lock.places[0].ticket.key)
    lock.childStarted()
    await world.time.advance(0)
    expect(lock.gone.aborted).toBe(true)
  })

  test('of a raw key is never put', async () => {
    const world = new World()
    world.etcd.put({key: `${rawKeys.queuePrefix}foreign`, value: ''})
    const us = world.client()
    const acquiring = watch(us.acquire({locks: [rawKeys]}))
    await world.time.advance(0)
    world.etcd.remove(`${rawKeys.queuePrefix}foreign`)
    await world.time.advance(0)
    if (acquiring.value?.is !== 'held') throw new Error('not held')
    acquiring.value.lock.childStarted()
    await world.time.advance(1000)
    expect(us.store.arrived).not.toContain('declareHold')
    expect(await acquiring.value.lock.release(true)).toBe('removed')
    expect(world.etcd.under('')).toEqual([])
  })
})

describe('the own ticket', () => {
  test("is watched from 100 ms after the child's start on: a shorter job costs no watch", async () => {
    const world = new World()
    const us = world.client()
    const lock = await us.held()
    lock.childStarted()
    await world.time.advance(99)
    expect(us.store.arrived).not.toContain('deletion')
    await world.time.advance(1)
    expect(us.store.arrived).toContain('deletion')
  })

  test('deleted while the child runs: gone, at once', async () => {
    const world = new World()
    const lock = await world.client().held()
    lock.childStarted()
    await world.time.advance(1000)
    world.etcd.remove(lock.places[0].ticket.key)
    await world.time.advance(0)
    expect(lock.gone.aborted).toBe(true)
    expect(lock.lost.reason).toEqual({kind: 'ticketGone'})
  })

  test("deleted before the watch stands: gone when it does, for it begins at the ticket's own revision", async () => {
    const world = new World()
    const lock = await world.client().held()
    world.etcd.remove(lock.places[0].ticket.key)
    lock.childStarted()
    await world.time.advance(100)
    expect(lock.gone.aborted).toBe(true)
  })

  test('is looked at again when a compaction may have swallowed its deletion: still there', async () => {
    const world = new World()
    const us = world.client()
    const lock = await us.held()
    world.etcd.put({key: 'other', value: '1'})
    world.etcd.put({key: 'other', value: '2'})
    world.etcd.compact()
    lock.childStarted()
    await world.time.advance(100)
    expect(us.store.arrived.slice(-3)).toEqual(['deletion', 'look', 'deletion'])
    expect(lock.gone.aborted).toBe(false)
    world.etcd.remove(lock.places[0].ticket.key)
    await world.time.advance(0)
    expect(lock.gone.aborted).toBe(true)
  })

  test('is looked at again when a compaction swallowed its deletion: gone', async () => {
    const world = new World()
    const lock = await world.client().held()
    world.etcd.remove(lock.places[0].ticket.key)
    world.etcd.put({key: 'other', value: '1'})
    world.etcd.compact()
    lock.childStarted()
    await world.time.advance(100)
    expect(lock.gone.aborted).toBe(true)
  })

  test('that we remove ourselves is no loss', async () => {
    const world = new World()
    const lock = await world.client().held()
    lock.childStarted()
    await world.time.advance(1000)
    await lock.release(true)
    await world.time.advance(60_000)
    expect(lock.gone.aborted).toBe(false)
    expect(lock.lost.aborted).toBe(false)
  })
})

test('a hold is lost on the timeline, and nobody else held before that', async () => {
  const world = new World()
  const us = world.client()
  const lock = await us.held()
  lock.childStarted()
  const next = world.client()
  const acquiring = watch(next.acquire())
  await world.time.advance(1000)
  us.store.unreachable = 'silent'
  await world.time.advance(line.killAfterMs - 1000)
  expect(lock.lost.reason).toMatchObject({killAtMs: line.killAfterMs})
  expect(acquiring.pending).toBe(true)
  await world.time.advance(line.entitledMs - line.killAfterMs)
  expect(acquiring.pending).toBe(true)
  await world.time.advance(2000)
  expect(acquiring.value?.is).toBe('held')
  expect(next.told).toEqual(['waiting', 'settling', 'acquired'])
  expect(world.etcd.get(markKey)).toBeDefined()
  expect(await world.time.passing(world.client().acquire({wait: notAtAll}))).toMatchObject({is: 'contended'})
})
