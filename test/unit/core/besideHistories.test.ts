import fc from 'fast-check'
import {expect, test} from 'vitest'
import {type LeaseId, type Revision, leaseHex} from '../../../src/lib/core/identifiers.ts'
import {type LockKeys, lockKeys} from '../../../src/lib/core/lockName.ts'
import {type Mode, exclusive, settlingMs} from '../../../src/lib/core/mode.ts'
import {markKeyOf} from '../../../src/lib/core/ports.ts'
import {type QueueView, admission, besideMark} from '../../../src/lib/core/queue.ts'
import type {Ticket, TicketAhead} from '../../../src/lib/core/ticket.ts'

const slots = 2
const modes: readonly Mode[] = [exclusive, {kind: 'shared'}, {kind: 'slots', slots}]
const lock = lockKeys('leash/', 'nightly')
const exclusiveMark = markKeyOf(lock, 0n as LeaseId) ?? ''

/** How long a tree takes to die whose ticket was taken away: less than a newcomer lets it settle. */
const dyingMs = 400

/**
 * `vanish`: the ticket is taken away, and the tree ended for that. `crash`: leash and guard are killed, and nobody tidies up
 * after the tree, which dies as soon.
 */
type Step =
  | {does: 'come'; mode: Mode}
  | {does: 'look' | 'vanish' | 'crash' | 'end'; who: number}
  | {does: 'pass'; ms: number}

const step: fc.Arbitrary<Step> = fc.oneof(
  {weight: 2, arbitrary: fc.record({does: fc.constant('come'), mode: fc.constantFrom(...modes)})},
  {
    weight: 4,
    arbitrary: fc.record({does: fc.constantFrom('look', 'look', 'vanish', 'crash', 'end'), who: fc.nat(9)}),
  },
  {weight: 1, arbitrary: fc.record({does: fc.constant('pass'), ms: fc.constantFrom(10, 100, 450, 600)})},
)

/** The promise itself: one alone, readers, or as many as there are slots. It is the reference of the admission rule, too. */
const mayRunAtOnce = (all: readonly Mode[]): boolean =>
  all.length <= 1 ||
  all.every(({kind}) => kind === 'shared') ||
  (all.every(({kind}) => kind === 'slots') && all.length <= slots)

/** One who wants the lock. */
interface Client {
  readonly keys: LockKeys & {mode: Mode}
  readonly ticket: Ticket
  admittedAtMs?: number
  /** After the settling time. */
  startsAtMs?: number
  hasStarted: boolean
  /** The marks that it takes with it. */
  settled: readonly string[]
}

interface Tree {
  readonly client: Client
  diesAtMs: number
  hasGuard: boolean
}

interface Mark {
  readonly createRevision: Revision
  readonly owner: Client
  readonly version: number
}

/** The keys at etcd, and the trees that run. What is done to the keys is what the transactions do. */
class History {
  queue: Client[] = []
  readonly marks = new Map<string, Mark>()
  #trees: Tree[] = []
  #nowMs = 0
  #revision = 0n as Revision
  #leases = 0n

  take(now: Step): void {
    if (now.does === 'pass') return this.pass(now.ms)
    if (now.does === 'come') return this.come(now.mode)
    const client = this.queue[now.who % Math.max(1, this.queue.length)]
    if (client === undefined) return
    if (now.does === 'look') this.look(client)
    else if (now.does === 'end') this.end(client)
    else this.#loseTicket(client, now.does === 'vanish')
  }

  come(mode: Mode): void {
    const isFirst = this.queue.length === 0
    const lease = ++this.#leases as LeaseId
    const ticket = {
      key: lock.queuePrefix + leaseHex(lease),
      lease,
      createRevision: ++this.#revision,
    }
    const client: Client = {keys: {...lock, mode}, ticket, hasStarted: false, settled: []}
    this.queue.push(client)
    if (isFirst) this.#mark(client)
    this.look(client)
  }

  look(client: Client): void {
    if (client.admittedAtMs !== undefined) return
    const {mode} = client.keys
    const view = this.#view(client)
    const seen = admission(view, mode)
    const ahead = this.queue.slice(0, this.queue.indexOf(client))
    expect(seen.is).toBe(mayRunAtOnce([...ahead, client].map(({keys}) => keys.mode)) ? 'admitted' : 'behind')
    if (seen.is !== 'admitted') return
    client.admittedAtMs = this.#nowMs
    const isWritersGone = mode.kind !== 'exclusive' && view.markRevision !== undefined
    client.settled = [...seen.vanished, ...(isWritersGone ? [exclusiveMark] : [])]
    client.startsAtMs = this.#nowMs + (seen.predecessorVanished ? settlingMs : 0)
    if (!seen.predecessorVanished) this.#start(client)
  }

  /** The clean end, if it has started. */
  end(client: Client): void {
    if (!client.hasStarted) return
    this.#revision++
    this.#trees = this.#trees.filter((tree) => tree.client !== client)
    this.#dequeue(client)
    this.marks.delete(markOf(client))
    if (this.#nowMs - (client.admittedAtMs ?? 0) < settlingMs) return
    for (const mark of client.settled) this.marks.delete(mark)
  }

  /** All that is due meanwhile happens at its moment. */
  pass(ms: number): void {
    const endMs = this.#nowMs + ms
    const dueMs = (): number =>
      Math.min(
        ...this.queue.map(({hasStarted, startsAtMs}) => (hasStarted ? Infinity : (startsAtMs ?? Infinity))),
        ...this.#trees.map(({diesAtMs}) => diesAtMs),
      )
    for (let atMs = dueMs(); atMs <= endMs; atMs = dueMs()) {
      this.#nowMs = atMs
      for (const {client, hasGuard} of this.#trees.filter(({diesAtMs}) => diesAtMs === atMs))
        if (hasGuard && this.marks.get(markOf(client))?.owner === client) this.marks.delete(markOf(client))
      this.#trees = this.#trees.filter(({diesAtMs}) => diesAtMs > atMs)
      for (const client of this.queue)
        if (!client.hasStarted && client.startsAtMs === atMs) this.#start(client)
    }
    this.#nowMs = endMs
  }

  #start(client: Client): void {
    client.hasStarted = true
    this.#revision++
    this.#mark(client)
    this.#trees.push({client, diesAtMs: Infinity, hasGuard: true})
    const running = this.#trees.map((tree) => tree.client.keys.mode)
    if (!mayRunAtOnce(running)) throw new Error(`run at once: ${running.map(({kind}) => kind).join(', ')}`)
    const ahead = this.queue.slice(0, this.queue.indexOf(client))
    expect(ahead.filter(({keys}) => keys.mode.kind === 'exclusive')).toEqual([])
  }

  #loseTicket(client: Client, hasGuard: boolean): void {
    this.#revision++
    this.#dequeue(client)
    const tree = this.#trees.find((one) => one.client === client)
    if (tree) Object.assign(tree, {diesAtMs: this.#nowMs + dyingMs, hasGuard})
    if (tree || !hasGuard) return
    const mark = this.marks.get(markOf(client))
    if (mark?.owner === client && mark.version === 1) this.marks.delete(markOf(client))
  }

  #dequeue(client: Client): void {
    this.queue = this.queue.filter((one) => one !== client)
  }

  #mark(owner: Client): void {
    const {createRevision = this.#revision, version = 0} = this.marks.get(markOf(owner)) ?? {}
    this.marks.set(markOf(owner), {createRevision, owner, version: version + 1})
  }

  #view(client: Client): QueueView {
    const {ticket, keys} = client
    const isExclusive = keys.mode.kind === 'exclusive'
    const before = this.queue[this.queue.indexOf(client) - 1]
    const mark = this.marks.get(exclusiveMark)
    return {
      own: ticket,
      ...(isExclusive
        ? before && {ahead: aheadOf(before)}
        : {others: this.queue.filter((one) => one !== client).map(aheadOf)}),
      ...(mark && {markRevision: mark.createRevision}),
      besideMarks: [...this.marks.keys()].filter((key) => key !== exclusiveMark).map(besideMark),
      revision: this.#revision,
    }
  }
}

const markOf = ({keys, ticket}: Client): string => markKeyOf(keys, ticket.lease) ?? ''

const aheadOf = ({ticket: {key, createRevision}, keys: {mode}}: Client): TicketAhead => ({
  key,
  createRevision,
  ...(mode.kind !== 'exclusive' && {mode}),
})

test('whatever comes and goes, no writer runs beside others, no more than the slots, and nobody before a writer ahead; all have their turn, and no mark stays', () => {
  fc.assert(
    fc.property(fc.array(step, {minLength: 5, maxLength: 40}), (steps) => {
      const history = new History()
      for (const one of steps) history.take(one)
      history.come(exclusive)
      for (let {length} = history.queue; length > 0; length--) {
        for (const client of history.queue) history.look(client)
        history.pass(settlingMs)
        for (const client of history.queue) history.end(client)
      }
      expect(history.queue).toEqual([])
      expect([...history.marks.keys()]).toEqual([])
    }),
    {numRuns: 2000},
  )
})
