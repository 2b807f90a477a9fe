import {describe, expect, test} from 'vitest'
import {both, locksOf, marks, nothingLeft, queueOf, three} from './severalLocks.fixture.ts'
import {type Client, type Wish, World, fenceOf, line, notAtAll, watch} from './world.fixture.ts'

/** Somebody whose tickets are gone without a clean end. */
const vanish = async (world: World, wish: Wish): Promise<void> => {
  world.etcd.revoke((await world.client().held(wish)).lease)
}

describe('a predecessor that vanished', () => {
  test.each(['a', 'b'])('from one of several locks, %s, costs 500 ms', async (name) => {
    const world = new World()
    await vanish(world, locksOf(name))
    const us = world.client()
    const acquiring = watch(us.acquire(both))
    await world.time.advance(499)
    expect(acquiring.pending).toBe(true)
    await world.time.advance(1)
    expect(acquiring.value?.is).toBe('held')
    expect(us.told).toEqual(['settling', 'acquired'])
  })

  test('from the first lock, while we wait for the second, costs the same when that is free', async () => {
    const world = new World()
    await vanish(world, locksOf('a'))
    const holding = await world.client().held(locksOf('b'))
    const us = world.client()
    const acquiring = watch(us.acquire(both))
    await world.time.advance(5000)
    await holding.release(true)
    await world.time.advance(0)
    expect(acquiring.pending).toBe(true)
    await world.time.advance(500)
    expect(acquiring.value?.is).toBe('held')
    expect(us.told).toEqual(['waiting', 'settling', 'acquired'])
  })

  test('from one lock leaves its mark when we give up while we settle, and not the marks that we made', async () => {
    const world = new World()
    await vanish(world, locksOf('b'))
    const us = world.client()
    void us.acquire(three).catch(() => {})
    await world.time.advance(100)
    us.interrupt('SIGINT')
    await world.time.advance(0)
    expect(marks(world)).toEqual(['b'])
    expect(world.etcd.leases).toEqual([])
  })

  test('from several locks makes each newcomer to one of them settle', async () => {
    const world = new World()
    await vanish(world, both)
    for (const name of ['a', 'b']) {
      const us = world.client()
      await us.held(locksOf(name))
      expect(us.told).toEqual(['settling', 'acquired'])
    }
  })
})

describe('a ticket of the first lock that is taken away while we wait for the second', () => {
  const waitForB = async (
    world: World,
  ): Promise<{us: Client; acquiring: ReturnType<typeof watch>; release: () => Promise<unknown>}> => {
    const holding = await world.client().held(locksOf('b'))
    const us = world.client()
    const acquiring = watch(us.acquire(both))
    await world.time.advance(1000)
    world.etcd.remove(...queueOf(world, 'a'))
    return {us, acquiring, release: () => holding.release(true)}
  }

  test('is noticed by the next renewal: we queue again, at the end of both, with one ticket each', async () => {
    const world = new World()
    const {us, acquiring, release} = await waitForB(world)
    const other = world.client()
    void other.acquire(locksOf('a'))
    await world.time.advance(line.renewAfterMs)
    expect(us.told).toEqual(['waiting', 'requeued', 'waiting'])
    expect(us.news.at(-1)).toEqual({kind: 'waiting', name: 'a'})
    expect([queueOf(world, 'a').length, queueOf(world, 'b').length]).toEqual([2, 1])
    await release()
    await world.time.advance(0)
    expect(acquiring.pending).toBe(true)
  })

  test('is noticed when the second becomes free: the child does not start beside the next holder of the first', async () => {
    const world = new World()
    const {us, acquiring, release} = await waitForB(world)
    const other = watch(world.client().acquire(locksOf('a')))
    await world.time.advance(0)
    expect(other.value).toMatchObject({is: 'held'})
    await release()
    await world.time.advance(0)
    expect(acquiring.pending).toBe(true)
    expect(us.told).toEqual(['waiting', 'requeued', 'waiting'])
  })
})

test('a ticket that is taken away between two transactions, neither of which had to wait, is noticed before the start', async () => {
  const world = new World()
  const holding = await world.client().held(locksOf('b'))
  const us = world.client()
  const open = us.store.holdAnswers('enqueue')
  const acquiring = watch(us.acquire(both))
  await world.time.advance(0)
  await holding.release(true)
  world.etcd.remove(...queueOf(world, 'a'))
  await world.client().held(locksOf('a'))
  open()
  await world.time.advance(0)
  expect(acquiring.pending).toBe(true)
  expect(us.told).toEqual(['requeued', 'waiting'])
})

describe('a lost answer', () => {
  test.each([
    ['waiting', {}],
    ['not waiting', {wait: notAtAll}],
  ])('after several tickets were put: they are found, and are no predecessors (%s)', async (_, wish) => {
    const world = new World()
    const us = world.client()
    us.store.loseAnswer('enqueue')
    const lock = await us.held({...three, ...wish})
    expect(lock.places.map(({ticket}) => ticket.key)).toEqual(
      ['a', 'b', 'c'].flatMap((name) => queueOf(world, name)),
    )
    expect(us.told).toEqual(['acquired'])
    await lock.release(true)
    nothingLeft(world)
  })

  test.each(['a', 'b', 'c'])(
    'after several tickets were put, and the one of %s was taken away meanwhile: each lock has a ticket of its own again',
    async (name) => {
      const world = new World()
      const us = world.client()
      us.store.loseAnswer('enqueue')
      const acquiring = watch(us.acquire(three))
      await world.time.advance(50)
      world.etcd.remove(...queueOf(world, name))
      await world.time.advance(1000)
      if (acquiring.value?.is !== 'held') throw new Error('not held')
      const {places} = acquiring.value.lock
      expect(places.map(({keys, ticket}) => [keys.name, ticket.key])).toEqual(
        ['a', 'b', 'c'].flatMap((one) => queueOf(world, one).map((key) => [one, key])),
      )
      expect(world.etcd.leases).toHaveLength(1)
    },
  )

  test('when the second lock is lined up for: the ticket is found, and only one is left', async () => {
    const world = new World()
    const [first, second] = [await world.client().held(locksOf('a')), await world.client().held(locksOf('b'))]
    const us = world.client()
    const acquiring = watch(us.acquire(both))
    await world.time.advance(0)
    us.store.loseAnswer('enqueue')
    await first.release(true)
    await world.time.advance(1000)
    expect(queueOf(world, 'b')).toHaveLength(2)
    await second.release(true)
    await world.time.advance(1000)
    expect(acquiring.value?.is).toBe('held')
    expect(us.told).toEqual(['waiting', 'waiting', 'acquired'])
  })

  test('to the release of several: whether somebody took one away is unknown, and nothing is left', async () => {
    const world = new World()
    const us = world.client()
    const lock = await us.held(both)
    us.store.loseAnswer('dequeue')
    const release = watch(lock.release(true))
    await world.time.advance(1000)
    expect(release.value).toBe('unknown')
    nothingLeft(world)
  })
})

describe('to lose one of several', () => {
  test.each(['a', 'b', 'c'])('is to lose all, at once, by the watch: %s', async (name) => {
    const world = new World()
    const lock = await world.client().held(three)
    lock.childStarted()
    await world.time.advance(100)
    expect(lock.gone.aborted).toBe(false)
    world.etcd.remove(...queueOf(world, name))
    await world.time.advance(0)
    expect(lock.gone.aborted).toBe(true)
    expect(lock.lost.reason).toEqual({kind: 'ticketGone'})
    expect(await lock.release(false)).toBe('gone')
    nothingLeft(world)
  })

  test.each(['a', 'b', 'c'])(
    'is to lose all, by the next renewal, where there is no watch yet: %s',
    async (name) => {
      const world = new World()
      const lock = await world.client().held(three)
      world.etcd.remove(...queueOf(world, name))
      await world.time.advance(line.renewAfterMs)
      expect(lock.lost.reason).toEqual({kind: 'ticketGone'})
    },
  )

  test('while the child starts is noticed by the declaration, which does not mark it', async () => {
    const world = new World()
    const holding = await world.client().held(locksOf('a'))
    const us = world.client()
    const acquiring = watch(us.acquire(both))
    await world.time.advance(0)
    await holding.release(true)
    await world.time.advance(0)
    if (acquiring.value?.is !== 'held') throw new Error('not held')
    const {lock} = acquiring.value
    world.etcd.remove(...queueOf(world, 'a'))
    lock.childStarted()
    await world.time.advance(0)
    expect(lock.gone.aborted).toBe(true)
    expect(marks(world)).toEqual(['b'])
  })

  test('the next holder of that one has a larger fencing token', async () => {
    const world = new World()
    const lock = await world.client().held(both)
    world.etcd.remove(...queueOf(world, 'a'))
    expect(fenceOf(await world.client().held(locksOf('a')))).toBeGreaterThan(fenceOf(lock))
  })
})
