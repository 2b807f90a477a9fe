import {describe, expect, test} from 'vitest'
import {type LeaseId, leaseHex} from '../../src/lib/core/identifiers.ts'
import type {LockKeys} from '../../src/lib/core/lockName.ts'
import type {Mode} from '../../src/lib/core/mode.ts'
import {markKeyOf} from '../../src/lib/core/ports.ts'
import type {QueueView} from '../../src/lib/core/queue.ts'
import {type Ticket, encodeHolder} from '../../src/lib/core/ticket.ts'
import type {Stage} from './storeContract.ts'

const holder = {host: 'h', user: 'u', pid: 7, since: '2030-01-01T00:00:00.000Z'}
const shared: Mode = {kind: 'shared'}
const slots: Mode = {kind: 'slots', slots: 3}

const keysOf = ({keys}: Stage, mode: Mode): LockKeys => ({...keys, mode})
const markOf = (here: Stage, mode: Mode, lease: LeaseId): string => markKeyOf(keysOf(here, mode), lease) ?? ''

async function enqueue(here: Stage, mode: Mode, lease?: LeaseId): Promise<QueueView & {own: Ticket}> {
  const queues = [keysOf(here, mode)] as const
  const value = encodeHolder(holder, mode)
  const [view] = await here.store.enqueue(
    {queues, lease: lease ?? (await here.lease()), value, onlyIfNobody: false},
    here.signal,
  )
  if (view?.own === undefined) throw new Error('a ticket was put and is not there')
  return {...view, own: view.own}
}

const marks = async (here: Stage): Promise<string[]> =>
  (await here.harness.keysUnder(here.keys.besideMarks ?? '')).map(({key}) => key)

/** What a store promises to those who hold beside others. */
export function besideContract(stage: () => Stage): void {
  describe('beside others', () => {
    test.each([shared, slots])(
      'who finds nobody has a mark of its own, with its ticket: %j',
      async (mode) => {
        const here = stage()
        const {own, ...view} = await enqueue(here, mode)
        const key = markOf(here, mode, own.lease)
        const lease = leaseHex(own.lease)
        expect(view).toEqual({
          others: [],
          besideMarks: [{key, kind: mode.kind, lease}],
          revision: own.createRevision,
        })
        expect(await here.mark()).toBeUndefined()
        expect(await marks(here)).toEqual([key])
      },
    )

    test('who finds somebody lines up without a mark, and sees all the others with their modes, the first one first', async () => {
      const here = stage()
      const first = await enqueue(here, shared)
      const writer = await here.ticket()
      const {own, others} = await enqueue(here, slots)
      expect(others).toEqual([
        {key: first.own.key, createRevision: first.own.createRevision, holder, mode: shared},
        {key: writer.key, createRevision: writer.createRevision, value: 'value'},
      ])
      expect(await marks(here)).toEqual([markOf(here, shared, first.own.lease)])
      expect(await here.queue()).toHaveLength(3)
      expect(own.createRevision).toBeGreaterThan(writer.createRevision)
    })

    test('a look shows all the others, those behind, too', async () => {
      const here = stage()
      const [first, second, third] = [
        await enqueue(here, shared),
        await enqueue(here, shared),
        await enqueue(here, shared),
      ]
      const view = await here.store.look(second.own, keysOf(here, shared), here.signal)
      expect(view.own).toEqual(second.own)
      expect(view.others?.map(({key}) => key)).toEqual([first.own.key, third.own.key])
    })

    test('a look says that the own ticket is gone, or another', async () => {
      const here = stage()
      const {own} = await enqueue(here, shared)
      await here.harness.remove(own.key)
      expect((await here.store.look(own, keysOf(here, shared), here.signal)).own).toBeUndefined()
      await here.harness.put(own.key, '', own.lease)
      expect((await here.store.look(own, keysOf(here, shared), here.signal)).own).toBeUndefined()
    })

    test('a repeated request finds its ticket', async () => {
      const here = stage()
      await enqueue(here, shared)
      const lease = await here.lease()
      here.harness.loseAnswer('enqueue')
      const view = await here.harness.passing(enqueue(here, shared, lease))
      expect(view.own.lease).toBe(lease)
      expect(view.others).toHaveLength(1)
      expect(await here.queue()).toHaveLength(2)
    })

    test('who is exclusive sees the marks of those who vanished, and so do the others', async () => {
      const here = stage()
      const {own} = await enqueue(here, slots)
      await here.harness.remove(own.key)
      const mark = {key: markOf(here, slots, own.lease), kind: 'slots', lease: leaseHex(own.lease)}
      const view = await here.enqueue(await here.lease())
      expect(view.besideMarks).toEqual([mark])
      expect((await here.look(view.own as Ticket)).besideMarks).toEqual([mark])
      expect((await enqueue(here, shared)).besideMarks).toEqual([mark])
    })

    test('and the mark of an exclusive hold is seen by who is not', async () => {
      const here = stage()
      const {key, createRevision} = await here.ticket()
      await here.harness.remove(key)
      expect((await enqueue(here, shared)).markRevision).toBe(createRevision)
    })

    test('the clean end removes the own mark, and those that are settled', async () => {
      const here = stage()
      const [gone, stays] = [await enqueue(here, shared), await enqueue(here, shared)]
      await here.harness.remove(gone.own.key)
      const settled = [markOf(here, shared, gone.own.lease)]
      const own = await enqueue(here, shared)
      const markKey = markOf(here, shared, own.own.lease)
      expect(await here.store.declareHold([{ticket: own.own, markKey}], 'holding', here.signal)).toBe(true)
      expect((await marks(here)).toSorted()).toEqual([...settled, markKey].toSorted())
      expect(await here.store.dequeue([{ticket: own.own, markKey, settled}], here.signal)).toBe('removed')
      expect(await marks(here)).toEqual([])
      expect((await here.queue()).map(({key}) => key)).toEqual([stays.own.key])
    })

    test('whose ticket is gone removes its own mark only', async () => {
      const here = stage()
      const gone = await enqueue(here, shared)
      await here.harness.remove(gone.own.key)
      const own = await enqueue(here, shared)
      await here.harness.remove(own.own.key)
      const settled = [markOf(here, shared, gone.own.lease)]
      const markKey = markOf(here, shared, own.own.lease)
      expect(await here.store.dequeue([{ticket: own.own, markKey, settled}], here.signal)).toBe('gone')
      expect(await marks(here)).toEqual(settled)
    })
  })

  describe('any deletion', () => {
    test('of a queue is heard, wherever it stood', async () => {
      const here = stage()
      await enqueue(here, slots)
      const second = await enqueue(here, slots)
      const third = await enqueue(here, slots)
      const heard = here.store.anyDeletion(here.keys.queuePrefix, third.revision, here.signal)
      await here.harness.remove(second.own.key)
      expect(await here.harness.passing(heard)).toBe('deleted')
    })

    test('that came before the watch is heard if it is above the revision, else not', async () => {
      const here = stage()
      const [first, second] = [await enqueue(here, slots), await enqueue(here, slots)]
      await here.harness.remove(first.own.key)
      const {revision} = await here.store.look(second.own, keysOf(here, slots), here.signal)
      const {signal} = here
      const anyDeletion = (after: bigint): Promise<unknown> =>
        here.harness.passing(here.store.anyDeletion(here.keys.queuePrefix, after, signal))
      expect(await anyDeletion(second.revision)).toBe('deleted')
      const later = here.store.anyDeletion(here.keys.queuePrefix, revision, signal)
      const third = await enqueue(here, slots)
      await here.harness.remove(third.own.key)
      expect(await here.harness.passing(later)).toBe('deleted')
    })

    test('that a compaction may have swallowed is unknown', async () => {
      const here = stage()
      const {own} = await enqueue(here, slots)
      await here.harness.remove(own.key)
      await enqueue(here, slots)
      await here.harness.compact()
      const heard = here.store.anyDeletion(here.keys.queuePrefix, own.createRevision, here.signal)
      expect(await here.harness.passing(heard)).toBe('unknown')
    })
  })
}
