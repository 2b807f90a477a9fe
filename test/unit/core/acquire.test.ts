import {describe, expect, test} from 'vitest'
import {
  World,
  forever,
  line,
  markKey,
  notAtAll,
  queuePrefix,
  rawKeys,
  watch,
  fenceOf,
} from './world.fixture.ts'

describe('an uncontended lock', () => {
  test.each([
    ['waiting', forever],
    ['not waiting', notAtAll],
  ])('costs two requests, a grant and a transaction, and leaves ticket and mark (%s)', async (_, wait) => {
    const world = new World()
    const us = world.client()
    const lock = await us.held({wait})
    expect(us.store.arrived).toEqual(['grant', 'enqueue'])
    expect(world.queue).toMatchObject([{key: lock.places[0].ticket.key}])
    expect(world.mark).toBeDefined()
    expect(us.told).toEqual(['acquired'])
    expect(world.clock.elapsedMs()).toBe(0)
  })

  test('has the create revision of its ticket for its fencing token, which rises from holder to holder', async () => {
    const world = new World()
    const first = await world.client().held()
    expect(fenceOf(first)).toBe(world.queue[0]?.createRevision)
    await first.release(true)
    expect(fenceOf(await world.client().held())).toBeGreaterThan(fenceOf(first))
  })

  test('says in its ticket who holds it, and since when', async () => {
    const world = new World()
    await world.client().held()
    const since = new Date(world.clock.wallMs()).toISOString()
    expect(JSON.parse(world.queue[0]?.value ?? '')).toEqual({host: 'h', user: 'u', pid: 1, since})
  })

  test('with a raw key leaves nothing but its ticket', async () => {
    const world = new World()
    await world.client().held({locks: [rawKeys]})
    expect(world.etcd.under('')).toMatchObject([{key: expect.stringMatching(/^services\/api\//) as string}])
  })

  test('asks for TTL and lock-delay, and keeps its own time by the TTL alone', async () => {
    const world = new World()
    const lock = await world.client().held({terms: {lockDelayMs: 15_000}})
    expect(world.etcd.ttlOf(lock.lease)).toBe(45_000)
    expect(lock.graceMs).toBe(line.graceMs)
  })

  test('says so when etcd raised the TTL', async () => {
    const world = new World()
    const us = world.client()
    await us.held({ttlMs: 1000, terms: {lockDelayMs: 0}})
    expect(us.news[0]).toEqual({kind: 'ttlRaised', askedMs: 1000, grantedMs: 2000})
  })

  test('whose timeline does not fit the TTL granted is refused, and leaves nothing', async () => {
    const world = new World()
    const acquiring = world.client().acquire({ttlMs: 3000, terms: {lockDelayMs: 0, graceMs: 3000}})
    await expect(world.time.passing(acquiring)).rejects.toMatchObject({code: 'usage'})
    expect(world.etcd.leases).toEqual([])
    expect(world.queue).toEqual([])
  })
})

describe('a lock that somebody holds', () => {
  test('is contended when we are not to wait, and nothing of ours is left', async () => {
    const world = new World()
    const lock = await world.client().held()
    const us = world.client()
    expect(await world.time.passing(us.acquire({wait: notAtAll}))).toMatchObject({
      is: 'contended',
      ahead: {key: lock.places[0].ticket.key, holder: {host: 'h'}},
    })
    expect(us.store.arrived).toEqual(['grant', 'enqueue', 'revoke'])
    expect(world.etcd.leases).toEqual([lock.lease])
    expect(world.queue).toHaveLength(1)
    expect(us.told).toEqual([])
  })

  test('is ours as soon as the predecessor has released it, without a settling time', async () => {
    const world = new World()
    const lock = await world.client().held()
    const us = world.client()
    const acquiring = watch(us.acquire())
    await world.time.advance(5000)
    expect(acquiring.pending).toBe(true)
    await lock.release(true)
    await world.time.advance(0)
    expect(acquiring.value?.is).toBe('held')
    expect(us.told).toEqual(['waiting', 'acquired'])
  })

  test('has each waiter wait for the one just ahead of it only', async () => {
    const world = new World()
    const lock = await world.client().held()
    const [second, third] = [world.client(), world.client()]
    const [secondly, thirdly] = [watch(second.acquire()), watch(third.acquire())]
    await world.time.advance(0)
    await lock.release(true)
    await world.time.advance(0)
    expect(secondly.value?.is).toBe('held')
    expect(third.store.arrived).toEqual(['grant', 'enqueue', 'deletion'])
    expect(thirdly.pending).toBe(true)
  })

  test('is not ours when a waiter ahead of us gives up: we wait for the one before it', async () => {
    const world = new World()
    const lock = await world.client().held()
    const [second, third] = [world.client(), world.client()]
    void second.acquire().catch(() => {})
    const thirdly = watch(third.acquire())
    await world.time.advance(0)
    second.interrupt('enough')
    await world.time.advance(1000)
    expect(thirdly.pending).toBe(true)
    await lock.release(true)
    await world.time.advance(0)
    expect(thirdly.value?.is).toBe('held')
  })

  test('that a foreign program holds is waited for', async () => {
    const world = new World()
    world.etcd.put({key: `${queuePrefix}foreign`, value: ''})
    const acquiring = watch(world.client().acquire())
    await world.time.advance(60_000)
    expect(acquiring.pending).toBe(true)
    world.etcd.remove(`${queuePrefix}foreign`)
    await world.time.advance(0)
    expect(acquiring.value?.is).toBe('held')
  })

  test('is asked for its queue only if somebody wants to see it', async () => {
    const world = new World()
    await world.client().held()
    void world.client().acquire()
    const us = world.client()
    void us.acquire({showQueue: true})
    await world.time.advance(0)
    expect(us.store.arrived).toEqual(['grant', 'enqueue', 'peek', 'deletion'])
    expect(us.news).toMatchObject([{kind: 'waiting', ahead: 2, first: {holder: {host: 'h'}}}])
  })

  test('is waited for over a compaction that swallowed the end of the predecessor', async () => {
    const world = new World()
    const lock = await world.client().held()
    const us = world.client()
    const open = us.store.holdAnswers('enqueue')
    const acquiring = watch(us.acquire())
    await world.time.advance(0)
    await lock.release(true)
    world.etcd.put({key: 'other', value: ''})
    world.etcd.compact()
    open()
    await world.time.advance(0)
    expect(acquiring.value?.is).toBe('held')
    expect(us.store.arrived).toEqual(['grant', 'enqueue', 'deletion', 'look'])
  })
})

describe('a wait that ends', () => {
  test('by itself withdraws the ticket', async () => {
    const world = new World()
    await world.client().held()
    const us = world.client()
    const acquiring = watch(us.acquire({wait: {kind: 'upTo', ms: 60_000}}))
    await world.time.advance(59_999)
    expect(acquiring.pending).toBe(true)
    await world.time.advance(1)
    expect(acquiring.value).toEqual({is: 'waitedOut'})
    expect(world.queue).toHaveLength(1)
    expect(world.etcd.leases).toHaveLength(1)
  })

  test('by a signal withdraws the ticket and rejects with the reason', async () => {
    const world = new World()
    await world.client().held()
    const us = world.client()
    const acquiring = watch(us.acquire())
    await world.time.advance(1000)
    const reason = new Error('SIGINT')
    us.interrupt(reason)
    await world.time.advance(0)
    expect(acquiring.error).toBe(reason)
    expect(world.queue).toHaveLength(1)
    expect(world.etcd.leases).toHaveLength(1)
  })

  test('by a signal while etcd is out of reach ends after a second: the lease ends by itself', async () => {
    const world = new World()
    await world.client().held()
    const us = world.client()
    const acquiring = watch(us.acquire())
    await world.time.advance(1000)
    us.store.unreachable = 'silent'
    us.interrupt('SIGINT')
    await world.time.advance(999)
    expect(acquiring.pending).toBe(true)
    await world.time.advance(2)
    expect(acquiring.error).toBe('SIGINT')
  })

  test('leaves no timer and no renewal behind', async () => {
    const world = new World()
    world.etcd.put({key: `${queuePrefix}foreign`, value: ''})
    const us = world.client()
    const acquiring = watch(us.acquire({wait: {kind: 'upTo', ms: 5000}}))
    await world.time.advance(5000)
    expect(acquiring.value).toEqual({is: 'waitedOut'})
    const {length} = us.store.arrived
    await world.time.advance(60_000)
    expect(us.store.arrived).toHaveLength(length)
    expect(world.time.timerCount).toBe(0)
  })
})

describe('a predecessor that vanished', () => {
  test('costs a newcomer 500 ms, and a fresh confirmation after that', async () => {
    const world = new World()
    await world.vanish()
    const us = world.client()
    const acquiring = watch(us.acquire())
    await world.time.advance(499)
    expect(acquiring.pending).toBe(true)
    expect(us.store.arrived).not.toContain('renew')
    await world.time.advance(1)
    expect(acquiring.value?.is).toBe('held')
    expect(us.news).toMatchObject([{kind: 'settling', ms: 500}, {kind: 'acquired'}])
    expect(us.store.arrived).toEqual(['grant', 'enqueue', 'renew'])
  })

  test('costs a waiter the same', async () => {
    const world = new World()
    const vanishing = await world.client().held()
    const us = world.client()
    const acquiring = watch(us.acquire())
    await world.time.advance(1000)
    world.etcd.revoke(vanishing.lease)
    await world.time.advance(499)
    expect(acquiring.pending).toBe(true)
    await world.time.advance(1)
    expect(acquiring.value?.is).toBe('held')
    expect(us.told).toEqual(['waiting', 'settling', 'acquired'])
  })

  test('costs nothing after the next clean end', async () => {
    const world = new World()
    await world.vanish()
    const lock = await world.client().held()
    await lock.release(true)
    expect(world.mark).toBeUndefined()
    const next = world.client()
    await next.held()
    expect(next.told).toEqual(['acquired'])
  })

  test('costs the next one too when we vanish in turn', async () => {
    const world = new World()
    await world.vanish()
    await world.vanish()
    const next = world.client()
    await next.held()
    expect(next.told).toEqual(['settling', 'acquired'])
  })

  test('while we settle, our own ticket vanishes: we queue again', async () => {
    const world = new World()
    await world.vanish()
    const us = world.client()
    const acquiring = watch(us.acquire())
    await world.time.advance(100)
    for (const lease of world.etcd.leases) world.etcd.revoke(lease)
    await world.time.advance(400)
    expect(acquiring.pending).toBe(true)
    await world.time.advance(500)
    expect(acquiring.value?.is).toBe('held')
    expect(us.told).toEqual(['settling', 'requeued', 'settling', 'acquired'])
    expect(world.queue).toHaveLength(1)
  })

  test('leaves a mark that a raw key does not know of', async () => {
    const world = new World()
    world.etcd.put({key: markKey, value: 'old'})
    const us = world.client()
    await us.held({locks: [rawKeys]})
    expect(us.told).toEqual(['acquired'])
  })
})
