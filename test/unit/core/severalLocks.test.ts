import {describe, expect, test} from 'vitest'
import {both, locksOf, marks, nothingLeft, queueOf, three} from './severalLocks.fixture.ts'
import {World, notAtAll, rawKeys, watch} from './world.fixture.ts'

describe('several locks that are free', () => {
  test.each([
    ['waiting', {}],
    ['not waiting', {wait: notAtAll}],
  ])('cost what one costs: a grant and a transaction (%s)', async (_, wish) => {
    const world = new World()
    const us = world.client()
    const lock = await us.held({...three, ...wish})
    expect(us.store.arrived).toEqual(['grant', 'enqueue'])
    expect(lock.places.map(({keys, ticket}) => [keys.name, ticket.lease])).toEqual([
      ['a', lock.lease],
      ['b', lock.lease],
      ['c', lock.lease],
    ])
    expect(lock.name).toBe('a, b, c')
    expect(marks(world)).toEqual(['a', 'b', 'c'])
    expect(us.told).toEqual(['acquired'])
  })

  test('have a fencing token each, that of their own ticket', async () => {
    const world = new World()
    const holding = await world.client().held(locksOf('b'))
    const us = world.client()
    const acquiring = watch(us.acquire(both))
    await world.time.advance(0)
    await holding.release(true)
    await world.time.advance(0)
    if (acquiring.value?.is !== 'held') throw new Error('not held')
    const fences = acquiring.value.lock.places.map(({ticket}) => ticket.createRevision)
    expect(new Set(fences).size).toBe(2)
    expect(us.news.at(-1)).toEqual({kind: 'acquired', fences})
  })

  test('are given back in one transaction, and nothing is left', async () => {
    const world = new World()
    const us = world.client()
    const lock = await us.held(three)
    lock.childStarted()
    expect(await lock.release(true)).toBe('removed')
    expect(us.store.arrived).toEqual(['grant', 'enqueue', 'dequeue', 'revoke'])
    nothingLeft(world)
  })

  test('may be raw keys, and then leave no marks', async () => {
    const world = new World()
    const lock = await world.client().held({locks: [rawKeys, {name: 'z', queuePrefix: 'z/'}]})
    lock.childStarted()
    await world.time.advance(0)
    expect(world.etcd.under('').map(({key}) => key)).toEqual(lock.places.map(({ticket}) => ticket.key))
  })
})

describe('several locks of which one is held', () => {
  test.each(['a', 'b', 'c'])('are contended when we are not to wait, and it says which: %s', async (name) => {
    const world = new World()
    const holding = await world.client().held(locksOf(name))
    const us = world.client()
    expect(await world.time.passing(us.acquire({...three, wait: notAtAll}))).toMatchObject({
      is: 'contended',
      name,
      ahead: {key: holding.places[0].ticket.key},
    })
    expect(us.store.arrived).toEqual(['grant', 'enqueue', 'revoke'])
    await holding.release(true)
    nothingLeft(world)
  })

  test('are taken one after the other: what comes before is kept, what comes after stays free', async () => {
    const world = new World()
    const holding = await world.client().held(locksOf('b'))
    const us = world.client()
    const acquiring = watch(us.acquire(three))
    await world.time.advance(0)
    expect(['a', 'b', 'c'].map((name) => queueOf(world, name).length)).toEqual([1, 2, 0])
    expect(us.news).toEqual([{kind: 'waiting', name: 'b'}])
    await world.client().held(locksOf('c'))
    await holding.release(true)
    await world.time.advance(0)
    expect(acquiring.pending).toBe(true)
    expect(us.news.at(-1)).toEqual({kind: 'waiting', name: 'c'})
  })

  test('that we waited for are confirmed, all tickets at once, before the child starts, and mark all once it has', async () => {
    const world = new World()
    const holding = await world.client().held(locksOf('b'))
    const us = world.client()
    const acquiring = watch(us.acquire(both))
    await world.time.advance(0)
    await holding.release(true)
    expect(us.store.arrived).not.toContain('renew')
    await world.time.advance(0)
    if (acquiring.value?.is !== 'held') throw new Error('not held')
    expect(us.store.arrived.at(-1)).toBe('renew')
    expect(us.told).toEqual(['waiting', 'acquired'])
    expect(marks(world)).toEqual([])
    acquiring.value.lock.childStarted()
    await world.time.advance(0)
    expect(marks(world).sort()).toEqual(['a', 'b'])
    await acquiring.value.lock.release(true)
    nothingLeft(world)
  })

  test.each([
    ['by itself', {wait: {kind: 'upTo', ms: 5000} as const}, undefined],
    ['by a signal', {}, 'SIGINT'],
  ])('give back what was taken when the wait ends %s', async (_, wish, reason) => {
    const world = new World()
    const holding = await world.client().held(locksOf('c'))
    const us = world.client()
    const acquiring = watch(us.acquire({...three, ...wish}))
    await world.time.advance(4999)
    expect(queueOf(world, 'a')).toHaveLength(1)
    if (reason !== undefined) us.interrupt(reason)
    await world.time.advance(1)
    expect(acquiring.pending).toBe(false)
    expect(acquiring.error).toBe(reason)
    expect(['a', 'b', 'c'].map((name) => queueOf(world, name).length)).toEqual([0, 0, 1])
    await holding.release(true)
    nothingLeft(world)
  })

  test('that two name in a different order let one of them on, and then the other', async () => {
    const world = new World()
    const holding = [await world.client().held(locksOf('a')), await world.client().held(locksOf('b'))]
    const waiting = [locksOf('a', 'b'), locksOf('b', 'a')].map((wish) => watch(world.client().acquire(wish)))
    await world.time.advance(0)
    for (const lock of holding) await lock.release(true)
    for (let held = 0; held < 2; held++) {
      await world.time.advance(0)
      const now = waiting.flatMap(({value}) => (value?.is === 'held' ? [value.lock] : []))
      expect(now).toHaveLength(held + 1)
      await now.at(held)?.release(true)
    }
    nothingLeft(world)
  })
})
