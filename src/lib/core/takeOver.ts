import type {Clock} from './clock.ts'
import {HeldLock, type HoldNews, type Place} from './heldLock.ts'
import {LiveSession, type SessionNews} from './liveSession.ts'
import type {LeaseStore} from './ports.ts'
import {type Terms, timeline} from './timeline.ts'

/** A hold that another process has left, and declared: see `HeldLock.leave` and `HeldLock.declare`. */
export interface LeftHold {
  /** Of one lease. */
  places: readonly [Omit<Place, 'marked'>, ...Omit<Place, 'marked'>[]]
  /** When nobody was ahead any more; absent where that is long ago. */
  admittedAtMs?: number
  /** T, as etcd granted it. */
  ttlMs: number
  terms: Terms
  /** When the latest confirmed renewal was sent, by our clock: in the past, or before the clock was made. */
  sentAtMs: number
}

/** What taking over needs from outside. */
export interface TakeOverPorts {
  store: LeaseStore
  clock: Clock
  tell: (news: SessionNews | HoldNews) => void
}

/**
 * Goes on holding what another process has left. Resolves after the first confirmed renewal of our own, which has found all
 * tickets: then the guard band applies. Rejects with a `LossCause` if one is gone, and with what `signal` is aborted with.
 */
export async function takeOver(
  {places: [first, ...others], ttlMs, terms, sentAtMs, admittedAtMs}: LeftHold,
  ports: TakeOverPorts,
  signal: AbortSignal,
): Promise<HeldLock> {
  const granted = {sentAtMs, timeline: timeline(ttlMs, terms)}
  const session = new LiveSession({...ports, ticket: first.ticket, terms}, granted)
  for (const {ticket} of others) session.add(ticket)
  try {
    do await session.confirmNow(signal)
    while (!session.guard('startNeedsAfterRenewalMs'))
  } catch (error) {
    session.close()
    throw error
  }
  const marked = (place: Omit<Place, 'marked'>): Place => ({...place, marked: true})
  // All marks stand, so nothing is put into a ticket any more.
  const ticketValue = (): string => ''
  const places = [marked(first), ...others.map(marked)] as const
  return new HeldLock({
    ...ports,
    session,
    places,
    ...(admittedAtMs !== undefined && {admittedAtMs}),
    ticketValue,
  })
}
