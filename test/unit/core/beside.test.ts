import {describe, expect, test} from 'vitest'
import type {Acquisition} from '../../../src/lib/core/lock.ts'
import {lockKeys} from '../../../src/lib/core/lockName.ts'
import type {Mode} from '../../../src/lib/core/mode.ts'
import {encodeHolder} from '../../../src/lib/core/ticket.ts'
import {type Client, type Wish, World, notAtAll, queuePrefix, watch} from './world.fixture.ts'

const keys = lockKeys('leash/', 'nightly')
const as = (mode: Mode, more: Wish = {}): Wish => ({locks: [{...keys, mode}], ...more})
const shared = as({kind: 'shared'})
const slots = (count: number, more: Wish = {}): Wish => as({kind: 'slots', slots: count}, more)
const marks = ({etcd}: World): string[] => etcd.under('leash/held/').map(({key}) => key)

const somebody = {host: 'h', user: 'u', pid: 7, since: '2030-01-01T00:00:00.000Z'}

/** The same for each of several clients. */
const clients = (world: World, count: number): Client[] => Array.from({length: count}, () => world.client())

/** Who has come to hold, by now. */
const held = (watched: readonly {value?: Acquisition; pending: boolean}[]): boolean[] =>
  watched.map(({value}) => value?.is === 'held')

describe('a shared lock', () => {
  test('is held by many at once, each with a fence and a ticket that says so', async () => {
    const world = new World()
    const [one, other] = clients(world, 2) as [Client, Client]
    const first = await one.held(shared)
    const second = await other.held(shared)
    expect(second.places[0].ticket.createRevision).toBeGreaterThan(first.places[0].ticket.createRevision)
    expect(world.queue.map(({value}) => (JSON.parse(value) as {mode: string}).mode)).toEqual([
      'shared',
      'shared',
    ])
  })

  test('is not held beside a writer; the writer waits for all readers, and those who come later wait for it', async () => {
    const world = new World()
    const [reader, another, writer, late] = clients(world, 4) as [Client, Client, Client, Client]
    const first = await reader.held(shared)
    const second = await another.held(shared)
    const writing = watch(writer.acquire())
    await world.time.advance(1000)
    const reading = watch(late.acquire(shared))
    await world.time.advance(1000)
    await world.time.passing(first.release(true))
    await world.time.advance(1000)
    expect(held([writing, reading])).toEqual([false, false])
    await world.time.passing(second.release(true))
    await world.time.advance(1000)
    expect(held([writing, reading])).toEqual([true, false])
    if (writing.value?.is === 'held') await world.time.passing(writing.value.lock.release(true))
    await world.time.advance(1000)
    expect(held([writing, reading])).toEqual([true, true])
  })

  test('leaves nothing behind after a clean end', async () => {
    const world = new World()
    const locks = [await world.client().held(shared), await world.client().held(shared)]
    for (const lock of locks) {
      await lock.declare(new AbortController().signal)
    }
    expect(marks(world)).toHaveLength(2)
    for (const lock of locks) await world.time.passing(lock.release(true))
    expect(world.etcd.under('leash/')).toEqual([])
    expect(world.etcd.leases).toEqual([])
  })

  test('is not waited for by who is not to wait: beside a reader it is held, behind a writer not, and no ticket stays', async () => {
    const world = new World()
    const reading = await world.client().held(shared)
    const more = await world.client().held({...shared, wait: notAtAll})
    await world.time.passing(reading.release(true))
    await world.time.passing(more.release(true))
    const writing = await world.client().held()
    const acquisition = await world.time.passing(world.client().acquire({...shared, wait: notAtAll}))
    expect(acquisition).toMatchObject({
      is: 'contended',
      ahead: {key: writing.places[0].ticket.key},
      name: 'nightly',
    })
    expect(world.etcd.under(queuePrefix)).toHaveLength(1)
    expect(world.etcd.leases).toHaveLength(1)
  })

  test('that somebody holds costs who is not to wait no request for a mark, but if it has put one', async () => {
    const world = new World()
    const writing = await world.client().held()
    const usual = world.client()
    await world.time.passing(usual.acquire({...shared, wait: notAtAll}))
    expect(usual.store.arrived).not.toContain('unmark')
    await world.time.passing(writing.release(true))

    const unlucky = world.client()
    unlucky.store.loseAnswer('enqueue')
    const trying = watch(unlucky.acquire({...shared, wait: notAtAll}))
    await world.time.advance(50)
    expect(marks(world)).toHaveLength(1)
    world.etcd.remove(world.queue[0]?.key ?? '')
    world.etcd.put({key: `${queuePrefix}foreign`, value: ''})
    await world.time.advance(1000)
    expect(trying.value?.is).toBe('contended')
    expect(marks(world)).toEqual([])
  })
})

describe('slots', () => {
  test('are as many as was said; who comes later waits for any of those that hold', async () => {
    const world = new World()
    const [one, two, three, four] = clients(world, 4) as [Client, Client, Client, Client]
    await one.held(slots(2))
    const second = await two.held(slots(2))
    const third = watch(three.acquire(slots(2)))
    const fourth = watch(four.acquire(slots(2)))
    await world.time.advance(1000)
    expect(held([third, fourth])).toEqual([false, false])
    await world.time.passing(second.release(true))
    await world.time.advance(1000)
    expect(held([third, fourth])).toEqual([true, false])
  })

  test('are not held beside who is exclusive, in whatever order they come', async () => {
    const world = new World()
    const [one, writer, late] = clients(world, 3) as [Client, Client, Client]
    const first = await one.held(slots(3))
    const writing = watch(writer.acquire())
    await world.time.advance(1000)
    const second = watch(late.acquire(slots(3)))
    await world.time.advance(1000)
    expect(held([writing, second])).toEqual([false, false])
    await world.time.passing(first.release(true))
    await world.time.advance(1000)
    expect(held([writing, second])).toEqual([true, false])
  })

  test('of another number are refused with both numbers, and leave no ticket', async () => {
    const world = new World()
    await world.client().held(slots(3))
    const refused = world.time.passing(world.client().acquire(slots(5)))
    await expect(refused).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/^nightly has 3 slots, as u@h .* says, and here it is 5$/) as string,
    })
    expect(world.queue).toHaveLength(1)
    expect(world.etcd.leases).toHaveLength(1)
  })

  test('of another number, refused before long, do not have those refused who come behind them with the right one', async () => {
    const world = new World()
    await world.client().held(slots(3))
    const wrong = {key: `${queuePrefix}abc`, value: encodeHolder(somebody, {kind: 'slots', slots: 5})}
    world.etcd.put(wrong)
    const right = watch(world.client().acquire(slots(3)))
    await world.time.advance(1000)
    expect(right).toMatchObject({pending: true})
    world.etcd.remove(wrong.key)
    await world.time.advance(1000)
    expect(held([right])).toEqual([true])
  })

  test('are not waited for by who is not to wait', async () => {
    const world = new World()
    await world.client().held(slots(1))
    const acquisition = await world.time.passing(world.client().acquire(slots(1, {wait: notAtAll})))
    expect(acquisition.is).toBe('contended')
    expect(world.queue).toHaveLength(1)
  })

  test('that a foreign ticket is ahead of are not held: it counts as exclusive', async () => {
    const world = new World()
    world.etcd.put({key: `${queuePrefix}abc`, value: 'whatever'})
    const acquisition = await world.time.passing(world.client().acquire(slots(9, {wait: notAtAll})))
    expect(acquisition.is).toBe('contended')
  })
})

describe('who vanished', () => {
  const vanish = async (world: World, wish: Wish): Promise<void> => {
    const lock = await world.client().held(wish)
    await world.time.passing(lock.declare(new AbortController().signal))
    world.etcd.revoke(lock.lease)
  }

  test.each<[string, Wish, Wish, boolean]>([
    ['a reader, to a writer', shared, {}, true],
    ['a reader, to a reader', shared, shared, false],
    ['a writer, to a reader', {}, shared, true],
    ['a slot, to who takes the last one', slots(1), slots(1), true],
    ['a slot, to who takes one of many', slots(3), slots(3), false],
    ['a slot, to a writer', slots(3), {}, true],
    ['a writer, to a slot', {}, slots(3), true],
  ])('%s, costs half a second where its tree could still be at work', async (_, gone, next, settles) => {
    const world = new World()
    await vanish(world, gone)
    const client = world.client()
    await client.held(next)
    expect(client.told.includes('settling')).toBe(settles)
  })

  test('is forgotten after the clean end of who let it settle', async () => {
    const world = new World()
    await vanish(world, shared)
    const writing = await world.client().held()
    await world.time.passing(writing.release(true))
    expect(marks(world)).toEqual([])
  })

  test.each([
    [100, 1],
    [600, 0],
  ])('is still known after %d ms of a reader: %d marks', async (afterMs, count) => {
    const world = new World()
    await vanish(world, shared)
    const reading = await world.client().held(shared)
    await world.time.advance(afterMs)
    await world.time.passing(reading.release(true))
    expect(marks(world)).toHaveLength(count)
  })

  test('is a writer: its mark goes with the reader that came next', async () => {
    const world = new World()
    await vanish(world, {})
    const reading = await world.client().held(shared)
    await world.time.advance(600)
    await world.time.passing(reading.release(true))
    expect(marks(world)).toEqual([])
  })
})
