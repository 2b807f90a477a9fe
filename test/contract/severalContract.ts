import {describe, expect, test} from 'vitest'
import {mostLocks} from '../../src/lib/core/lockName.ts'
import {LeaseGone} from '../../src/lib/core/ports.ts'
import {markValue} from '../../src/lib/core/ticket.ts'
import {Queues} from './Queues.ts'
import {type Stage, newLease} from './storeContract.ts'

const timing = {attemptMs: 5000, hedgeAfterMs: 1000}

const nobody = [undefined, undefined, undefined]

/** What a store promises about several queues at once. */
export function severalContract(stage: () => Stage): void {
  describe('several queues', () => {
    enqueueContract(() => new Queues(stage()))
    holdContract(() => new Queues(stage()))

    test('as many as a command may name, are taken, waited for, renewed, declared and given back', async () => {
      const here = new Queues(stage(), mostLocks)
      const {store, signal} = here.stage
      const tickets = await here.tickets()
      const {createRevisions} = await store.renew(tickets, timing, signal)
      expect(createRevisions).toEqual(tickets.map(({createRevision}) => createRevision))
      expect(await store.declareHold(here.holds(tickets), '', signal)).toBe(true)
      expect(await here.enqueue(await here.stage.lease(), {onlyIfNobody: true})).toHaveLength(1)
      const waiting = await here.stage.lease()
      expect(await here.enqueue(waiting)).toHaveLength(1)
      await store.unmark(
        waiting,
        tickets.map((_, index) => here.markKey(index)),
        signal,
      )
      await store.revoke(waiting, signal)
      expect(await store.dequeue(here.holds(tickets), signal)).toBe('removed')
      expect(new Set(await here.lengths())).toEqual(new Set([0]))
      expect(new Set(await here.marks())).toEqual(new Set([undefined]))
    })
  })
}

function enqueueContract(stage: () => Queues): void {
  describe('enqueue', () => {
    test('finds nobody in any: puts all tickets, and the marks, at one revision', async () => {
      const here = stage()
      const lease = await here.stage.lease()
      const views = await here.enqueue(lease)
      const [{revision} = {revision: 0n}] = views
      expect(views).toEqual(
        here.all.map((_, index) => ({
          own: {key: here.ticketKey(index, lease), lease, createRevision: revision},
          markRevision: revision,
          revision,
        })),
      )
      expect(await here.lengths()).toEqual([1, 1, 1])
      expect(await here.marks()).toEqual([markValue(lease), markValue(lease), markValue(lease)])
    })

    test('shows the mark of a vanished holder in its own queue, and in no other', async () => {
      const here = stage()
      const vanished = await here.occupy(1)
      await here.stage.store.revoke(vanished.lease, here.stage.signal)
      const views = await here.enqueue(await here.stage.lease())
      const own = views[0]?.own?.createRevision
      expect(views.map(({markRevision}) => markRevision)).toEqual([own, vanished.createRevision, own])
    })

    test('without mark keys leaves nothing beside the tickets', async () => {
      const here = stage()
      const [first, ...others] = here.all.map(({queuePrefix, name}) => ({queuePrefix, name}))
      if (first === undefined) throw new Error('no queues')
      const views = await here.enqueue(await here.stage.lease(), {queues: [first, ...others]})
      expect(views.map(({own, markRevision}) => [own !== undefined, markRevision])).toEqual([
        [true, undefined],
        [true, undefined],
        [true, undefined],
      ])
      expect(await here.marks()).toEqual(nobody)
    })

    test.each([
      [1, [1, 1, 0]],
      [2, [1, 0, 1]],
    ])('finds somebody in queue %i: lines up in the first only, without a mark', async (index, lengths) => {
      const here = stage()
      await here.occupy(index)
      const marks = await here.marks()
      const lease = await here.stage.lease()
      const views = await here.enqueue(lease)
      expect(views).toEqual([
        {
          own: {key: here.ticketKey(0, lease), lease, createRevision: views[0]?.revision},
          revision: views[0]?.revision,
        },
      ])
      expect(await here.lengths()).toEqual(lengths)
      expect(await here.marks()).toEqual(marks)
    })

    test('finds somebody in the first: lines up behind', async () => {
      const here = stage()
      const holding = await here.occupy(0)
      const [view, ...others] = await here.enqueue(await here.stage.lease())
      expect(view?.ahead?.key).toBe(holding.key)
      expect(others).toEqual([])
      expect(await here.lengths()).toEqual([2, 0, 0])
    })

    test('only if nobody is there: shows the first queue that somebody is in, and leaves nothing', async () => {
      const here = stage()
      const [, second] = [await here.occupy(2), await here.occupy(1)]
      const views = await here.enqueue(await here.stage.lease(), {onlyIfNobody: true})
      expect(views).toHaveLength(1)
      expect(views[0]?.own).toBeUndefined()
      expect(views[0]?.ahead?.key).toBe(second.key)
      expect(await here.lengths()).toEqual([0, 1, 1])
    })

    test.each([false, true])(
      'whose answer was lost finds all the tickets that it put (only if nobody: %s)',
      async (onlyIfNobody) => {
        const here = stage()
        const {harness} = here.stage
        const lease = await here.stage.lease()
        harness.loseAnswer('enqueue')
        const views = await harness.passing(here.enqueue(lease, {onlyIfNobody}))
        expect(views.map(({own}) => own?.key)).toEqual(
          here.all.map((_, index) => here.ticketKey(index, lease)),
        )
        expect(views.every(({ahead}) => ahead === undefined)).toBe(true)
        expect(views.every(({own, markRevision}) => own?.createRevision === markRevision)).toBe(true)
        expect(await here.lengths()).toEqual([1, 1, 1])
      },
    )

    test('whose answer was lost finds the one ticket that it lined up', async () => {
      const here = stage()
      const {harness} = here.stage
      const holding = await here.occupy(0)
      await here.occupy(2)
      const lease = await here.stage.lease()
      harness.loseAnswer('enqueue')
      const views = await harness.passing(here.enqueue(lease))
      expect(views.map(({own, ahead}) => [own?.key, ahead?.key])).toEqual([
        [here.ticketKey(0, lease), holding.key],
      ])
      expect(await here.lengths()).toEqual([2, 0, 1])
    })

    test.each([
      [0, false],
      [0, true],
      [1, false],
      [1, true],
    ])(
      'repeated when ticket %i was taken away meanwhile, throws LeaseGone: what comes behind it was not waited for (only if nobody: %s)',
      async (gone, onlyIfNobody) => {
        const here = stage()
        const tickets = await here.tickets()
        const [{lease}] = tickets
        await here.stage.harness.remove(here.ticketKey(gone, lease))
        await expect(here.enqueue(lease, {onlyIfNobody})).rejects.toBeInstanceOf(LeaseGone)
      },
    )

    test('repeated when the last ticket was taken away meanwhile, shows the others', async () => {
      const here = stage()
      const [first, second] = await here.tickets()
      await here.stage.harness.remove(here.ticketKey(2, first.lease))
      expect((await here.enqueue(first.lease)).map(({own}) => own)).toEqual([first, second])
      expect(await here.lengths()).toEqual([1, 1, 0])
    })

    test.each([false, true])(
      'throws LeaseGone if the lease ended before (somebody there: %s)',
      async (occupied) => {
        const here = stage()
        if (occupied) await here.occupy(1)
        await expect(here.enqueue(newLease())).rejects.toBeInstanceOf(LeaseGone)
        expect(await here.lengths()).toEqual([0, occupied ? 1 : 0, 0])
      },
    )
  })
}

function holdContract(stage: () => Queues): void {
  test('renew brings the create revision of each ticket, and none where one is gone', async () => {
    const here = stage()
    const {store, signal, harness} = here.stage
    const tickets = await here.tickets()
    const [{createRevision, lease}] = tickets
    await harness.remove(here.ticketKey(1, lease))
    const {createRevisions, ttlMs} = await store.renew(tickets, timing, signal)
    expect(createRevisions).toEqual([createRevision, undefined, createRevision])
    expect(ttlMs).toBe(60_000)
  })

  test('declareHold puts all marks and values, or none if one ticket is gone', async () => {
    const here = stage()
    const {store, signal, harness} = here.stage
    const tickets = await here.tickets()
    const [{lease}] = tickets
    for (const index of tickets.keys()) await harness.remove(here.markKey(index))
    expect(await store.declareHold(here.holds(tickets), 'holding', signal)).toBe(true)
    expect(await here.marks()).toEqual([markValue(lease), markValue(lease), markValue(lease)])
    for (const index of tickets.keys()) await harness.remove(here.markKey(index))
    await harness.remove(here.ticketKey(2, lease))
    expect(await store.declareHold(here.holds(tickets), 'again', signal)).toBe(false)
    expect(await here.marks()).toEqual(nobody)
    const [first] = await harness.keysUnder(here.ticketKey(0, lease))
    expect(first?.value).toBe('holding')
  })

  describe('dequeue', () => {
    test('removes all tickets and marks at one revision', async () => {
      const here = stage()
      const {store, signal} = here.stage
      const tickets = await here.tickets()
      const [first] = tickets
      const {revision} = await store.look(first, here.all[0], signal)
      expect(await store.dequeue(here.holds(tickets), signal)).toBe('removed')
      expect((await store.look(first, here.all[0], signal)).revision).toBe(revision + 1n)
      expect(await here.lengths()).toEqual([0, 0, 0])
      expect(await here.marks()).toEqual(nobody)
    })

    test('finds one gone: removes the others and their marks, and leaves the mark of who came meanwhile', async () => {
      const here = stage()
      const {store, signal, harness} = here.stage
      const tickets = await here.tickets()
      await harness.remove(here.ticketKey(1, tickets[0].lease))
      const other = await here.occupy(1)
      expect(await store.dequeue(here.holds(tickets), signal)).toBe('gone')
      expect(await here.lengths()).toEqual([0, 1, 0])
      expect(await here.marks()).toEqual([undefined, markValue(other.lease), undefined])
    })

    test('says `unknown` after a lost answer, and all is gone', async () => {
      const here = stage()
      const {store, signal, harness} = here.stage
      const tickets = await here.tickets()
      harness.loseAnswer('dequeue')
      expect(await harness.passing(store.dequeue(here.holds(tickets), signal))).toBe('unknown')
      expect(await here.lengths()).toEqual([0, 0, 0])
      expect(await here.marks()).toEqual(nobody)
    })
  })

  test('unmark removes the marks that this lease made, and leaves that of a vanished holder', async () => {
    const here = stage()
    const {store, signal} = here.stage
    const vanished = await here.occupy(1)
    await store.revoke(vanished.lease, signal)
    const [{lease}] = await here.tickets()
    await store.revoke(lease, signal)
    await store.unmark(
      lease,
      here.all.map((_, index) => here.markKey(index)),
      signal,
    )
    expect(await here.marks()).toEqual([undefined, markValue(lease), undefined])
  })
}
