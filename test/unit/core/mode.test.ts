import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'
import {type Mode, blockedBy, mustSettle} from '../../../src/lib/core/mode.ts'
import {type QueueView, admission} from '../../../src/lib/core/queue.ts'
import type {TicketAhead} from '../../../src/lib/core/ticket.ts'

const shared: Mode = {kind: 'shared'}
const slots = (count: number): Mode => ({kind: 'slots', slots: count})
const ticketsOf = (...modes: (Mode | undefined)[]): TicketAhead[] =>
  modes.map((mode, index) => ({key: `q/${index}`, createRevision: BigInt(index + 1), ...(mode && {mode})}))

describe('the admission rule', () => {
  test.each<[string, Mode, TicketAhead[], ReturnType<typeof blockedBy>]>([
    ['shared, and nobody is ahead', shared, [], undefined],
    ['shared behind shared', shared, ticketsOf(shared, shared), undefined],
    [
      'shared behind a ticket that says nothing, and a shared one',
      shared,
      ticketsOf(undefined, shared),
      {by: {key: 'q/0', createRevision: 1n}, wakes: 'this'},
    ],
    [
      'shared behind a writer that waits',
      shared,
      ticketsOf(shared, {kind: 'exclusive'}, shared),
      {by: {key: 'q/1', createRevision: 2n, mode: {kind: 'exclusive'}}, wakes: 'this'},
    ],
    [
      'shared behind a slot',
      shared,
      ticketsOf(slots(2)),
      {by: {key: 'q/0', createRevision: 1n, mode: slots(2)}, wakes: 'this'},
    ],
    ['the last of three slots', slots(3), ticketsOf(slots(3), slots(3)), undefined],
    [
      'one slot too many: any that goes makes room',
      slots(2),
      ticketsOf(slots(2), slots(2)),
      {by: {key: 'q/0', createRevision: 1n, mode: slots(2)}, wakes: 'any'},
    ],
    [
      'a free slot behind one of another number, which is about to be refused',
      slots(3),
      ticketsOf(slots(3), slots(5)),
      {by: {key: 'q/1', createRevision: 2n, mode: slots(5)}, wakes: 'this'},
    ],
    [
      'a free slot behind a ticket that says nothing',
      slots(3),
      ticketsOf(undefined),
      {by: {key: 'q/0', createRevision: 1n}, wakes: 'this'},
    ],
    [
      'a free slot behind a shared ticket',
      slots(3),
      ticketsOf(shared),
      {by: {key: 'q/0', createRevision: 1n, mode: shared}, wakes: 'this'},
    ],
    [
      'exclusive behind shared ones: the one just ahead',
      {kind: 'exclusive'},
      ticketsOf(shared, shared),
      {by: {key: 'q/1', createRevision: 2n, mode: shared}, wakes: 'this'},
    ],
  ])('%s', (_, mode, ahead, expected) => {
    expect(blockedBy(mode, ahead)).toEqual(expected)
  })
})

describe('after somebody vanished', () => {
  test.each<[Mode, Mode['kind'][], number, boolean]>([
    [{kind: 'exclusive'}, [], 0, false],
    [{kind: 'exclusive'}, ['shared'], 0, true],
    [{kind: 'exclusive'}, ['exclusive'], 0, true],
    [shared, ['shared', 'shared'], 3, false],
    [shared, ['exclusive'], 0, true],
    [shared, ['slots'], 0, true],
    [slots(3), [], 2, false],
    [slots(3), ['slots'], 1, false],
    [slots(3), ['slots'], 2, true],
    [slots(3), ['slots', 'slots', 'slots'], 0, true],
    [slots(3), ['shared'], 0, true],
    [slots(3), ['exclusive'], 0, true],
  ])('%j, when %j vanished and %d hold: must settle is %j', (mode, vanished, ahead, expected) => {
    expect(mustSettle(mode, vanished, ahead)).toBe(expected)
  })
})

/** A history of one queue: who comes, goes, and looks; by number of the step and of the ticket. */
type Step = {does: 'come'; mode: Mode} | {does: 'go' | 'look'; who: number}

const mode = fc.oneof(
  fc.constant<Mode>({kind: 'exclusive'}),
  fc.constant(shared),
  fc.constant(slots(1)),
  fc.constant(slots(3)),
)
const step = fc.oneof<fc.Arbitrary<Step>[]>(
  fc.record({does: fc.constant('come' as const), mode}),
  fc.record({does: fc.constantFrom('go' as const, 'look' as const, 'look' as const), who: fc.nat(20)}),
)

interface Ticket {
  readonly mode: Mode
  readonly revision: bigint
  holds: boolean
}

/** What the view of a store shows of a queue. */
function viewOf(queue: readonly Ticket[], own: Ticket): QueueView {
  const seen = ({mode: itsMode, revision}: Ticket): TicketAhead => ({
    key: `q/${revision}`,
    createRevision: revision,
    ...(itsMode.kind !== 'exclusive' && {mode: itsMode}),
  })
  const before = queue.filter(({revision}) => revision < own.revision).at(-1)
  return {
    own: {key: `q/${own.revision}`, lease: own.revision as LeaseId, createRevision: own.revision},
    ...(own.mode.kind === 'exclusive'
      ? before && {ahead: seen(before)}
      : {others: queue.filter((one) => one !== own).map(seen)}),
    revision: 1000n,
  }
}

/** Word for word, without any cleverness: who may hold beside all those that stand before. */
function mayHold(queue: readonly Ticket[], own: Ticket): boolean {
  const before = queue.filter(({revision}) => revision < own.revision)
  if (own.mode.kind === 'exclusive') return before.length === 0
  if (own.mode.kind === 'shared') return before.every((one) => one.mode.kind === 'shared')
  const {slots: count} = own.mode
  return before.every((one) => one.mode.kind === 'slots' && one.mode.slots === count) && before.length < count
}

const compatible = (holders: readonly Ticket[]): boolean => {
  const [first] = holders
  if (holders.length <= 1) return true
  if (first?.mode.kind === 'shared') return holders.every((one) => one.mode.kind === 'shared')
  const counts = holders.map((one) => (one.mode.kind === 'slots' ? one.mode.slots : 0))
  return holders.length <= Math.min(...counts)
}

test('in every history only those hold together who may, as a naive reader of the rule would have it', () => {
  fc.assert(
    fc.property(fc.array(step, {maxLength: 60}), (history) => {
      let queue: Ticket[] = []
      history.forEach((now, index) => {
        if (now.does === 'come') queue.push({mode: now.mode, revision: BigInt(index + 1), holds: false})
        const one = now.does === 'come' ? queue.at(-1) : queue[now.who % (queue.length || 1)]
        if (one === undefined) return
        if (now.does === 'go') queue = queue.filter((other) => other !== one)
        else {
          const {is} = admission(viewOf(queue, one), one.mode)
          // Who counts on another number of slots than somebody before goes away.
          if (is === 'unlike') queue = queue.filter((other) => other !== one)
          else expect(is === 'admitted').toBe(mayHold(queue, one))
          one.holds ||= is === 'admitted'
        }
        expect(compatible(queue.filter(({holds}) => holds))).toBe(true)
      })
      // Nobody waits for ever: the first is always admitted.
      const [first] = queue
      if (first !== undefined) expect(admission(viewOf(queue, first), first.mode).is).toBe('admitted')
    }),
    {numRuns: 2000},
  )
})

test('in the model, too many who vanish are noticed by whoever could run beside them', () => {
  fc.assert(
    fc.property(mode, fc.array(mode, {maxLength: 4}), (own, gone) => {
      const kinds = gone.map(({kind}) => kind)
      // All of those who are gone may still run.
      const running = [
        {mode: own, revision: 9n, holds: true},
        ...gone.map((one, index) => ({mode: one, revision: BigInt(index), holds: true})),
      ]
      const isSafe =
        running.length === 1 || compatible(running.toSorted((a, b) => Number(a.revision - b.revision)))
      if (
        !isSafe &&
        !gone.some((one) => one.kind === 'slots' && own.kind === 'slots' && one.slots !== own.slots)
      )
        expect(mustSettle(own, kinds, 0)).toBe(true)
    }),
  )
})
