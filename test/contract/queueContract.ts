import {describe, expect, test} from 'vitest'
import {leaseHex} from '../../src/lib/core/identifiers.ts'
import {type Enqueue, LeaseGone} from '../../src/lib/core/ports.ts'
import {encodeHolder, markValue} from '../../src/lib/core/ticket.ts'
import {type Stage, newLease} from './storeContract.ts'

const holder = {host: 'h', user: 'u', pid: 7, since: '2030-01-01T00:00:00.000Z'}

/** What a store promises about putting tickets and looking at the queue. */
export function queueContract(stage: () => Stage): void {
  describe('enqueue', () => {
    test('finds nobody: puts the ticket, and the mark at the same revision', async () => {
      const here = stage()
      const lease = await here.lease()
      const view = await here.enqueue(lease, {value: 'mine'})
      const key = here.keys.queuePrefix + leaseHex(lease)
      expect(view).toEqual({
        own: {key, lease, createRevision: view.own?.createRevision},
        markRevision: view.own?.createRevision,
        revision: view.own?.createRevision,
      })
      expect(await here.queue()).toEqual([{key, value: 'mine', createRevision: view.revision}])
      expect(await here.mark()).toMatchObject({value: markValue(lease)})
    })

    test('shows the mark of a vanished holder by its older create revision, and makes it its own', async () => {
      const here = stage()
      const vanished = await here.ticket()
      await here.harness.remove(vanished.key)
      const lease = await here.lease()
      const view = await here.enqueue(lease)
      expect(view.own).toBeDefined()
      expect(view.ahead).toBeUndefined()
      expect(view.markRevision).toBe(vanished.createRevision)
      expect(await here.mark()).toMatchObject({value: markValue(lease)})
    })

    test('finds somebody: lines up behind the last one, and leaves the mark alone', async () => {
      const here = stage()
      const holding = await here.ticket()
      const first = await here.enqueue(await here.lease())
      const second = await here.enqueue(await here.lease())
      expect(first.ahead).toEqual({
        ...{key: holding.key, createRevision: holding.createRevision},
        value: 'value',
      })
      expect(second.ahead?.key).toBe(first.own?.key)
      expect(second.own?.createRevision).toBe(second.revision)
      expect(second.markRevision).toBe(holding.createRevision)
      expect(await here.mark()).toMatchObject({value: markValue(holding.lease)})
    })

    test('only if nobody is there: shows the first of the queue, and leaves no ticket', async () => {
      const here = stage()
      const lease = await here.lease()
      await here.enqueue(lease, {value: encodeHolder(holder)})
      await here.ticket()
      const view = await here.enqueue(await here.lease(), {onlyIfNobody: true})
      expect(view.own).toBeUndefined()
      expect(view.ahead?.key).toBe(here.keys.queuePrefix + leaseHex(lease))
      expect(view.ahead?.holder).toEqual(holder)
      expect(await here.queue()).toHaveLength(2)
    })

    test('only if nobody is there: puts ticket and mark in an empty queue', async () => {
      const here = stage()
      const view = await here.enqueue(await here.lease(), {onlyIfNobody: true})
      expect(view.own?.createRevision).toBe(view.markRevision)
    })

    test.each([false, true])(
      'counts foreign keys below the prefix, unleased ones too (leased: %s)',
      async (leased) => {
        const here = stage()
        const key = `${here.keys.queuePrefix}some/where`
        await here.harness.put(key, 'no holder of ours', leased ? await here.lease() : undefined)
        const refused = await here.enqueue(await here.lease(), {onlyIfNobody: true})
        expect(refused.own).toBeUndefined()
        expect(refused.ahead).toEqual({
          ...{key, createRevision: refused.ahead?.createRevision},
          value: 'no holder of ours',
        })
        expect((await here.enqueue(await here.lease())).ahead?.key).toBe(key)
        expect(await here.mark()).toBeUndefined()
      },
    )

    test('does not count keys beside the prefix', async () => {
      const here = stage()
      await here.harness.put(here.keys.queuePrefix.slice(0, -1), 'the prefix without its end')
      await here.harness.put(`${here.keys.queuePrefix.slice(0, -1)}0`, 'just behind it')
      expect((await here.enqueue(await here.lease(), {onlyIfNobody: true})).own).toBeDefined()
    })

    test('repeated by the caller, finds its own ticket', async () => {
      const here = stage()
      const lease = await here.lease()
      const first = await here.enqueue(lease)
      await here.ticket()
      expect(await here.enqueue(lease)).toMatchObject({own: first.own, markRevision: first.markRevision})
      expect((await here.enqueue(lease)).ahead).toBeUndefined()
      expect(await here.queue()).toHaveLength(2)
    })

    test.each([false, true])(
      'whose answer was lost finds the ticket that it put into an empty queue (only if nobody: %s)',
      async (onlyIfNobody) => {
        const here = stage()
        const lease = await here.lease()
        here.harness.loseAnswer('enqueue')
        const view = await here.harness.passing(here.enqueue(lease, {onlyIfNobody}))
        expect(view.own?.key).toBe(here.keys.queuePrefix + leaseHex(lease))
        expect(view.ahead).toBeUndefined()
        expect(view.markRevision).toBe(view.own?.createRevision)
        expect(await here.queue()).toHaveLength(1)
      },
    )

    test('whose answer was lost finds the ticket that it lined up, and who is ahead of it', async () => {
      const here = stage()
      const holding = await here.ticket()
      const lease = await here.lease()
      here.harness.loseAnswer('enqueue')
      const view = await here.harness.passing(here.enqueue(lease))
      expect(view.own?.lease).toBe(lease)
      expect(view.ahead?.key).toBe(holding.key)
      expect(await here.queue()).toHaveLength(2)
    })

    test.each([false, true])(
      'throws LeaseGone if the lease ended before (somebody there: %s)',
      async (occupied) => {
        const here = stage()
        if (occupied) await here.ticket()
        await expect(here.enqueue(newLease())).rejects.toBeInstanceOf(LeaseGone)
        expect(await here.queue()).toHaveLength(occupied ? 1 : 0)
      },
    )

    test('without a mark key leaves nothing beside the ticket', async () => {
      const here = stage()
      const {queuePrefix} = here.keys
      const lease = await here.lease()
      const request: Enqueue = {queues: [{queuePrefix}], lease, value: '', onlyIfNobody: false}
      const [view] = await here.store.enqueue(request, here.signal)
      expect(view).not.toHaveProperty('markRevision')
      expect(await here.mark()).toBeUndefined()
    })
  })

  describe('look', () => {
    test('shows the own ticket, the one just ahead only, and the mark', async () => {
      const here = stage()
      const [holding, first, second] = [await here.ticket(), await here.ticket(), await here.ticket()]
      await here.ticket()
      const view = await here.look(second)
      expect(view.own).toEqual(second)
      expect(view.ahead).toMatchObject({key: first.key, createRevision: first.createRevision})
      expect(view.markRevision).toBe(holding.createRevision)
    })

    test('shows nobody ahead of the first', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await here.ticket()
      expect((await here.look(ticket)).ahead).toBeUndefined()
    })

    test('shows no own ticket when that is gone', async () => {
      const here = stage()
      const [ahead, ticket] = [await here.ticket(), await here.ticket()]
      await here.store.revoke(ticket.lease, here.signal)
      const view = await here.look(ticket)
      expect(view.own).toBeUndefined()
      expect(view.ahead?.key).toBe(ahead.key)
    })

    test('does not take a ticket for its own that was deleted and put anew', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await here.harness.remove(ticket.key)
      await here.harness.put(ticket.key, 'value', ticket.lease)
      expect((await here.look(ticket)).own).toBeUndefined()
    })

    test('gives the revision from which a watch misses nothing', async () => {
      const here = stage()
      const [ahead, ticket] = [await here.ticket(), await here.ticket()]
      const {revision} = await here.look(ticket)
      await here.harness.remove(ahead.key)
      expect(await here.store.deletion(ahead.key, revision, here.signal)).toBe('deleted')
    })
  })

  describe('peek', () => {
    test('counts the tickets ahead, foreign ones too, and shows the first', async () => {
      const here = stage()
      const lease = await here.lease()
      await here.enqueue(lease, {value: encodeHolder(holder)})
      await here.harness.put(`${here.keys.queuePrefix}foreign`, '')
      const ticket = await here.ticket()
      await here.ticket()
      const {ahead, first} = await here.store.peek(ticket, here.keys.queuePrefix, here.signal)
      expect(ahead).toBe(2)
      expect(first?.holder).toEqual(holder)
    })

    test('counts nobody ahead of the first', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await here.ticket()
      expect(await here.store.peek(ticket, here.keys.queuePrefix, here.signal)).toEqual({ahead: 0})
    })
  })
}
