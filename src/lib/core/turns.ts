import type {Place} from './heldLock.ts'
import {fencingToken} from './identifiers.ts'
import {withLimit} from './limit.ts'
import type {LiveSession} from './liveSession.ts'
import type {LockPorts, LockRequest} from './lock.ts'
import type {LockKeys} from './lockName.ts'
import {LeaseGone} from './ports.ts'
import {type Admission, type QueueView, admission} from './queue.ts'
import type {Ticket} from './ticket.ts'

/**
 * How long a newcomer waits when the last holder vanished. Longer than the slowest deletion-to-empty-tree that was
 * measured (100 ms of unwatched start and 300 ms for the kill), so that a ticket which etcd took away too early, or
 * somebody by hand, costs half a second and not an overlap.
 */
export const settlingMs = 500

/** How often a person who waits is told anew who is ahead: only the ticket just ahead wakes us up, not the first. */
const refreshMs = 5000

const lookAgain = Symbol('look again')

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
 * @throws LeaseGone if one of our tickets is gone
 */
export async function awaitTurns(
  locks: LockRequest['locks'],
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
      const seen = admission(view)
      // Our own ticket is gone, and we know it before the next renewal does.
      if (seen.is === 'absent' || seen.is === 'contended') throw new LeaseGone()
      if (places.length > 0) session.add(seen.ticket)
      const admitted = await awaitTurn(seen, view, keys, ports, signal)
      predecessorVanished ||= admitted.predecessorVanished
      atOnce &&= seen.is === 'admitted'
      // A ticket of an earlier try, whose answer was lost, may have lined up without a mark and come first since.
      places.push({keys, ticket: seen.ticket, marked: view.markRevision === seen.ticket.createRevision})
    }
    const [first, ...rest] = places
    const [next, ...others] = locks.slice(places.length)
    if (first === undefined) throw new LeaseGone()
    if (next === undefined) return {places: [first, ...rest], predecessorVanished, atOnce}
    atOnce = false
    views = await enqueue([next, ...others], signal)
  }
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
  let now: Admission = first
  let view = firstView
  while (now.is !== 'admitted') {
    // Our own ticket is gone, and we know it before the next renewal does.
    if (now.is !== 'behind') throw new LeaseGone()
    await tellQueue(ticket, keys, ports, signal)
    const {key} = now.ahead
    const {revision} = view
    await withLimit(clock, {atMs: clock.elapsedMs() + lookAgainMs, reason: lookAgain}, signal, (limited) =>
      store.deletion(key, revision, limited),
    ).catch((error: unknown) => {
      if (error !== lookAgain) throw error
    })
    view = await store.look(ticket, keys, signal)
    now = admission(view)
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
