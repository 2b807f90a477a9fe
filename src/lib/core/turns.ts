import type {Place} from './heldLock.ts'
import {LeashError} from './errors.ts'
import {fencingToken} from './identifiers.ts'
import {withLimit} from './limit.ts'
import type {LiveSession} from './liveSession.ts'
import type {LockPorts, LockRequest} from './lock.ts'
import type {LockKeys} from './lockName.ts'
import {exclusive, settlingMs} from './mode.ts'
import {LeaseGone, markKeyOf} from './ports.ts'
import {type Admission, type QueueView, admission} from './queue.ts'
import {type Ticket, type TicketAhead, describeHolder} from './ticket.ts'

/** How often a person who waits is told anew who is ahead: only the ticket just ahead wakes us up, not the first. */
const refreshMs = 5000

const lookAgain = Symbol('look again')

/** We were not to wait, and somebody is ahead who could hold beside others. */
export class Contended extends Error {
  readonly ahead: TicketAhead
  /** A mark of ours stands: of an earlier try, whose answer was lost, and whose ticket somebody has deleted. */
  readonly isMarked: boolean

  constructor(ahead: TicketAhead, isMarked: boolean) {
    super('somebody is ahead')
    this.ahead = ahead
    this.isMarked = isMarked
  }
}

/** What is known when we come first in all queues. */
export interface Turns {
  places: readonly [Place, ...Place[]]
  /** Somebody who stood before us in one of the queues is gone without a clean end. */
  predecessorVanished: boolean
  /** All of this was seen in one view. Else a ticket that we had before another may be gone by now. */
  atOnce: boolean
}

/**
 * Waits in one queue after the other until nobody is ahead in any.
 *
 * @param firstViews of the first queues, in which our tickets stand
 * @param enqueue puts our tickets into the next queues, as `LeaseStore.enqueue` does
 * @throws LeaseGone if one of our tickets is gone; Contended if we are not to wait; LeashError `usage` if somebody counts on
 *   another number of slots
 */
export async function awaitTurns(
  {locks, wait}: LockRequest,
  firstViews: readonly QueueView[],
  enqueue: (queues: LockRequest['locks'], signal: AbortSignal) => Promise<readonly QueueView[]>,
  session: LiveSession,
  ports: LockPorts,
  signal: AbortSignal,
): Promise<Turns> {
  const places: Place[] = []
  let predecessorVanished = false
  let atOnce = true
  for (let views = firstViews; ;) {
    for (const view of views) {
      const keys = locks[places.length] ?? locks[0]
      const seen = standing(admission(view, keys.mode), keys)
      const marked = isMarked(view, seen.ticket, keys)
      if (seen.is === 'behind' && wait.kind === 'none') throw new Contended(seen.ahead, marked)
      if (places.length > 0) session.add(seen.ticket)
      const admitted = await awaitTurn(seen, view, keys, ports, signal)
      predecessorVanished ||= admitted.predecessorVanished
      atOnce &&= seen.is === 'admitted'
      // A ticket of an earlier try, whose answer was lost, may have lined up without a mark and come first since.
      places.push({
        keys,
        ticket: seen.ticket,
        marked,
        vanished: vanishedMarks(admitted, view, keys),
      })
    }
    const [first, ...rest] = places
    const [next, ...others] = locks.slice(places.length)
    if (first === undefined) throw new LeaseGone()
    if (next === undefined) return {places: [first, ...rest], predecessorVanished, atOnce}
    atOnce = false
    views = await enqueue([next, ...others], signal)
  }
}

/** The marks of those who are gone without a clean end, and whose trees we let die. */
function vanishedMarks(
  {vanished}: Admission & {is: 'admitted'},
  {markRevision}: QueueView,
  {markKey, mode = exclusive}: LockKeys,
): string[] {
  // That of an exclusive hold is our own if ours is one, too.
  const isForeign = mode.kind !== 'exclusive' && markKey !== undefined && markRevision !== undefined
  return isForeign ? [...vanished, markKey] : [...vanished]
}

/** Whether the mark of this hold stands already. */
function isMarked(
  {markRevision, besideMarks = []}: QueueView,
  {lease, createRevision}: Ticket,
  keys: LockKeys,
): boolean {
  const markKey = markKeyOf(keys, lease)
  return markKey === keys.markKey
    ? markRevision === createRevision
    : besideMarks.some(({key}) => key === markKey)
}

/** What we must be while we hold a ticket in this queue. */
function standing(seen: Admission, {name, mode}: LockKeys): Admission & {is: 'admitted' | 'behind'} {
  if (seen.is === 'admitted' || seen.is === 'behind') return seen
  if (seen.is !== 'unlike' || mode?.kind !== 'slots') {
    // Our own ticket is gone, and we know it before the next renewal does.
    throw new LeaseGone()
  }
  const cause = `${name} has ${seen.slots} slots, as ${describeHolder(seen.ahead)} says, and here it is ${mode.slots}`
  throw new LeashError('usage', cause, 'give the same number everywhere')
}

/** Waits until nobody is ahead. The watch only wakes us up; a linearizable read decides. */
async function awaitTurn(
  first: Admission & {is: 'admitted' | 'behind'},
  firstView: QueueView,
  keys: LockKeys,
  ports: LockPorts,
  signal: AbortSignal,
): Promise<Admission & {is: 'admitted'}> {
  const {store, clock, showQueue} = ports
  const {ticket} = first
  const lookAgainMs = showQueue ? refreshMs : Infinity
  let now = first
  let view = firstView
  while (now.is !== 'admitted') {
    await tellQueue(ticket, keys, ports, signal)
    const {ahead, wakes} = now
    const {revision} = view
    await withLimit(clock, {atMs: clock.elapsedMs() + lookAgainMs, reason: lookAgain}, signal, (limited) =>
      wakes === 'this'
        ? store.deletion(ahead.key, revision, limited)
        : store.anyDeletion(keys.queuePrefix, revision, limited),
    ).catch((error: unknown) => {
      if (error !== lookAgain) throw error
    })
    view = await store.look(ticket, keys, signal)
    now = standing(admission(view, keys.mode), keys)
  }
  return now
}

async function tellQueue(
  ticket: Ticket,
  keys: LockKeys,
  ports: LockPorts,
  signal: AbortSignal,
): Promise<void> {
  const queue = ports.showQueue ? await ports.store.peek(ticket, keys.queuePrefix, signal) : {}
  ports.tell({kind: 'waiting', name: keys.name, ...queue})
}

/**
 * Lets a vanished predecessor's tree die, and sees to it that enough of the lease is left for a child to start: on return the
 * guard band applies. Rejects with a `LossCause` if the session is lost meanwhile, and with what `signal` is aborted with.
 */
export async function prepareStart(
  {places, predecessorVanished, atOnce}: Turns,
  {clock, tell}: LockPorts,
  session: LiveSession,
  signal: AbortSignal,
): Promise<void> {
  if (predecessorVanished) {
    tell({kind: 'settling', ms: settlingMs})
    await clock.sleepUntil(clock.elapsedMs() + settlingMs, signal)
  }
  // While we waited in the last queue, somebody may have taken a ticket away in the first.
  if (predecessorVanished || (!atOnce && places.length > 1)) await session.confirmNow(signal)
  // Before the guard: a terminal may keep us waiting, and nothing stands between the guard and the child's start.
  tell({kind: 'acquired', fences: places.map(({ticket}) => fencingToken(ticket.createRevision))})
  if (session.guard()) return
  do await session.confirmNow(signal)
  while (!session.guard('startNeedsAfterRenewalMs'))
}
