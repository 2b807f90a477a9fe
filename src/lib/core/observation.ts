import type {Revision} from './identifiers.ts'

/** A ticket as one who is not in the queue sees it: a lock's, a candidate's, also another program's. */
export interface SeenTicket {
  /** One character for each byte, because other programs may use any bytes. */
  key: string
  /** When it came into the queue. The lowest one is first; what the holder has as its fencing token. */
  createRevision: Revision
  /** When it was put last. */
  modRevision: Revision
  /** 0 if it hangs on none. */
  lease: bigint
  /** A candidate's proposal, byte by byte; the metadata of a lock's holder. */
  value: Uint8Array
}

/** What one linearizable read has shown of a queue. */
export interface QueueReading {
  tickets: readonly SeenTicket[]
  revision: Revision
  /** When the request left: what the reading shows was true then or later. By the clock that core uses. */
  sentAtMs: number
}

export type TicketEvent = {is: 'put'; ticket: SeenTicket} | {is: 'deleted'; key: string}

/** All that happened to a queue at one revision. */
export interface Step {
  revision: Revision
  events: readonly TicketEvent[]
}

/** What is known of a queue, and up to which revision. */
export interface ObservedQueue {
  tickets: ReadonlyMap<string, SeenTicket>
  /** The leader's, or that of the lock's holder. */
  first: SeenTicket | undefined
  revision: Revision
}

/**
 * What an observer sees, one for each revision at most:
 *
 * | kind | |
 * |---|---|
 * | `elected` | another ticket is the first |
 * | `proclaimed` | the first ticket was put anew, whether or not with another value; as Go's `Election.Observe` has it |
 * | `vacant` | there is none any more |
 */
export type Change =
  | {kind: 'elected' | 'proclaimed'; revision: Revision; ticket: SeenTicket}
  | {kind: 'vacant'; revision: Revision}

/** The queue when the observer comes, and what it tells first: who leads, or that nobody does. */
export function beginObservation(reading: QueueReading): {queue: ObservedQueue; change: Change} {
  const {revision} = reading
  const queue = observed(new Map(reading.tickets.map((ticket) => [ticket.key, ticket])), revision)
  return {queue, change: changeBetween(undefined, queue.first, revision) ?? {kind: 'vacant', revision}}
}

/** The queue after one step; the same if the step is known already. */
export function applyStep(queue: ObservedQueue, step: Step): {queue: ObservedQueue; change?: Change} {
  if (step.revision <= queue.revision) return {queue}
  const tickets = new Map(queue.tickets)
  for (const event of step.events) {
    if (event.is === 'put') tickets.set(event.ticket.key, event.ticket)
    else tickets.delete(event.key)
  }
  return withChange(queue, observed(tickets, step.revision))
}

/**
 * The queue after a reading, for who could not follow it step by step. `isGap`: changes between may be missing. Not if the
 * first ticket is the same, for as long as that stands there is no other leader.
 */
export function applyReading(
  queue: ObservedQueue,
  {tickets, revision}: QueueReading,
): {queue: ObservedQueue; change?: Change; isGap: boolean} {
  if (revision <= queue.revision) return {queue, isGap: false}
  const next = observed(new Map(tickets.map((ticket) => [ticket.key, ticket])), revision)
  const {first} = next
  // By its key, too: of two tickets of one transaction, the second has the revisions that the first one had.
  const stands = first !== undefined && first.key === queue.first?.key && isSame(queue.first, first)
  return {...withChange(queue, next), isGap: !stands}
}

/** Whether the queue as it is known says who leads no less recently than the reading, which shows the first ticket at least. */
export function isUpToDate(queue: ObservedQueue, reading: QueueReading): boolean {
  return queue.revision >= reading.revision || isSame(queue.first, firstOf(reading.tickets))
}

/** The ticket with the lowest create revision; of those that came by one transaction, the one with the lowest key. */
function firstOf(tickets: Iterable<SeenTicket>): SeenTicket | undefined {
  let first: SeenTicket | undefined
  for (const ticket of tickets) {
    if (first === undefined || isAhead(ticket, first)) first = ticket
  }
  return first
}

function isAhead(one: SeenTicket, other: SeenTicket): boolean {
  if (one.createRevision !== other.createRevision) return one.createRevision < other.createRevision
  return one.key < other.key
}

/** The same, and put at the same revision. Without the key: of tickets with one create revision etcd shows any as the first. */
function isSame(one: SeenTicket | undefined, other: SeenTicket | undefined): boolean {
  return one?.createRevision === other?.createRevision && one?.modRevision === other?.modRevision
}

function observed(tickets: ReadonlyMap<string, SeenTicket>, revision: Revision): ObservedQueue {
  return {tickets, first: firstOf(tickets.values()), revision}
}

function withChange(before: ObservedQueue, queue: ObservedQueue): {queue: ObservedQueue; change?: Change} {
  const change = changeBetween(before.first, queue.first, queue.revision)
  return {queue, ...(change && {change})}
}

function changeBetween(
  before: SeenTicket | undefined,
  after: SeenTicket | undefined,
  revision: Revision,
): Change | undefined {
  if (after === undefined) return before && {kind: 'vacant', revision}
  if (after.key !== before?.key || after.createRevision !== before.createRevision)
    return {kind: 'elected', revision, ticket: after}
  return after.modRevision === before.modRevision ? undefined : {kind: 'proclaimed', revision, ticket: after}
}
