import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {
  type Change,
  type ObservedQueue,
  type SeenTicket,
  type Step,
  applyReading,
  applyStep,
  beginObservation,
  isUpToDate,
} from '../../../src/lib/core/observation.ts'

const ticket = (key: string, createRevision: number, modRevision = createRevision): SeenTicket => ({
  key,
  createRevision: BigInt(createRevision),
  modRevision: BigInt(modRevision),
  lease: 1n,
  value: Uint8Array.of(modRevision),
})
const put = (seen: SeenTicket): Step['events'][number] => ({is: 'put', ticket: seen})
const deleted = (key: string): Step['events'][number] => ({is: 'deleted', key})
const step = (revision: number, ...events: Step['events'][number][]): Step => ({
  revision: BigInt(revision),
  events,
})
const reading = (revision: number, ...tickets: SeenTicket[]) => ({
  tickets,
  revision: BigInt(revision),
  sentAtMs: 0,
})

/** What an observer that came at this reading tells of these steps. */
function told(begin: ReturnType<typeof reading>, ...steps: Step[]): string[] {
  const first = beginObservation(begin)
  let {queue} = first
  const changes: (Change | undefined)[] = [first.change]
  for (const next of steps) {
    const after = applyStep(queue, next)
    queue = after.queue
    changes.push(after.change)
  }
  return changes.flatMap((change) => (change ? [text(change)] : []))
}
const text = (change: Change): string =>
  change.kind === 'vacant'
    ? `${change.revision} vacant`
    : `${change.revision} ${change.kind} ${change.ticket.key}=${change.ticket.value.join()}`

describe('an observer tells', () => {
  test('who is there when it comes, by create revision and not by key', () => {
    expect(told(reading(9, ticket('a', 5), ticket('b', 4, 7)))).toEqual(['9 elected b=7'])
    expect(told(reading(9))).toEqual(['9 vacant'])
  })

  test('when the first ticket is put anew, also with the same value, and nothing of the others', () => {
    const begin = reading(9, ticket('a', 4), ticket('b', 5))
    expect(
      told(begin, step(10, put(ticket('b', 5, 10))), step(11, put({...ticket('a', 4, 11)})), step(12)),
    ).toEqual(['9 elected a=4', '11 proclaimed a=11'])
  })

  test('who follows when the first one leaves, with what that has put last, and that nobody does', () => {
    const begin = reading(9, ticket('a', 4), ticket('b', 5))
    expect(
      told(begin, step(10, put(ticket('b', 5, 10))), step(11, deleted('a')), step(12, deleted('b'))),
    ).toEqual(['9 elected a=4', '11 elected b=10', '12 vacant'])
  })

  test('the state after a revision, and none between the events of one', () => {
    const begin = reading(9, ticket('a', 4))
    expect(told(begin, step(10, deleted('a'), put(ticket('b', 10))))).toEqual([
      '9 elected a=4',
      '10 elected b=10',
    ])
  })

  test('that somebody else leads when a key was deleted and put again', () => {
    const begin = reading(9, ticket('a', 4))
    expect(told(begin, step(10, deleted('a')), step(11, put(ticket('a', 11))))).toEqual([
      '9 elected a=4',
      '10 vacant',
      '11 elected a=11',
    ])
  })

  test('nothing again of a revision that it knows', () => {
    const begin = reading(9, ticket('a', 4))
    expect(told(begin, step(9, deleted('a')), step(8, put(ticket('b', 3))))).toEqual(['9 elected a=4'])
  })
})

test('what was told is up to date if the reading shows the same first ticket, or is older than what is known', () => {
  const {queue} = beginObservation(reading(9, ticket('a', 4), ticket('b', 5)))
  expect(isUpToDate(queue, reading(20, ticket('a', 4)))).toBe(true)
  expect(isUpToDate(queue, reading(20, ticket('a', 4, 12)))).toBe(false)
  expect(isUpToDate(queue, reading(20))).toBe(false)
  expect(isUpToDate(queue, reading(9))).toBe(true)
})

/** One revision of a queue, and how the observer hears of it: `lost` by the next reading only. */
interface Past {
  writes: {key: string; value: number | undefined}[]
  heard: 'once' | 'twice' | 'lost'
}
const past: fc.Arbitrary<Past[]> = fc.array(
  fc.record({
    writes: fc.uniqueArray(
      fc.record({key: fc.constantFrom('a', 'b', 'c'), value: fc.option(fc.nat(3), {nil: undefined})}),
      {selector: ({key}) => key, maxLength: 3},
    ),
    heard: fc.oneof(
      {weight: 4, arbitrary: fc.constant('once' as const)},
      fc.constantFrom('twice' as const, 'lost' as const),
    ),
  }),
  {maxLength: 40},
)

/** The queue after each revision by the plainest rule: a list, sorted each time. */
function replay(history: readonly Past[]): {tickets: SeenTicket[]; step: Step}[] {
  let tickets: SeenTicket[] = []
  return history.map(({writes}, index) => {
    const revision = index + 1
    const events: Step['events'][number][] = []
    for (const {key, value} of writes) {
      const before = tickets.find((one) => one.key === key)
      if (value === undefined && before === undefined) continue
      tickets = tickets.filter((one) => one.key !== key)
      if (value === undefined) events.push(deleted(key))
      else {
        const made = {...ticket(key, Number(before?.createRevision ?? revision), revision)}
        tickets = [...tickets, {...made, value: Uint8Array.of(value)}]
        events.push(put({...made, value: Uint8Array.of(value)}))
      }
    }
    tickets = tickets.toSorted(
      (one, other) =>
        Number(one.createRevision - other.createRevision) ||
        (one.key < other.key ? -1 : Number(one.key > other.key)),
    )
    return {tickets, step: step(revision, ...events)}
  })
}

/** Two tickets of one transaction: the second one becomes the first, with the revisions that the other one had. */
const successorOfOneTransaction: Past[] = [
  {
    writes: [
      {key: 'a', value: 0},
      {key: 'c', value: 0},
    ],
    heard: 'once',
  },
  {writes: [{key: 'a', value: 0}], heard: 'lost'},
  {writes: [{key: 'a', value: undefined}], heard: 'lost'},
]

test('whatever happens, is told twice or lost in a compaction: each change that can be known is told once, in order', () => {
  fc.assert(
    fc.property(past, (history) => {
      const states = replay(history)
      let {queue}: {queue: ObservedQueue} = beginObservation(reading(0))
      const changes: Change[] = []
      const expected: string[] = []
      let leader: SeenTicket | undefined
      let lost: (SeenTicket | undefined)[] = []
      const expectChange = (revision: number, now: SeenTicket | undefined): void => {
        const isOther = now?.key !== leader?.key || now?.createRevision !== leader?.createRevision
        if (isOther) expected.push(`${revision} ${now ? `elected ${now.key}=${now.value.join()}` : 'vacant'}`)
        else if (now && now.modRevision !== leader?.modRevision)
          expected.push(`${revision} proclaimed ${now.key}=${now.value.join()}`)
        leader = now
      }
      const note = (change?: Change): void => {
        if (change) changes.push(change)
      }
      for (const [index, {heard}] of history.entries()) {
        const revision = index + 1
        const {tickets, step: here} = states[index] ?? {tickets: [], step: step(revision)}
        const isLast = index === history.length - 1
        if (heard === 'lost') lost.push(tickets[0])
        if (heard === 'lost' && !isLast) continue
        if (lost.length > 0) {
          const shown = heard === 'lost' ? tickets : (states[index - 1]?.tickets ?? [])
          const at = heard === 'lost' ? revision : revision - 1
          const before = queue.first
          const after = applyReading(queue, reading(at, ...shown))
          const hidden = lost.filter((one) => one?.modRevision !== before?.modRevision)
          if (hidden.length > 0) expect(after.isGap).toBe(true)
          queue = after.queue
          note(after.change)
          expectChange(at, shown[0])
          lost = []
          if (heard === 'lost') continue
        }
        for (let times = heard === 'twice' ? 2 : 1; times > 0; times--) {
          const after = applyStep(queue, here)
          queue = after.queue
          note(after.change)
        }
        expectChange(revision, tickets[0])
      }
      expect(changes.map(text)).toEqual(expected)
      const revisions = changes.map(({revision}) => Number(revision))
      expect(revisions).toEqual([...new Set(revisions)].toSorted((one, other) => one - other))
    }),
    {numRuns: 2000, examples: [[successorOfOneTransaction]]},
  )
})
