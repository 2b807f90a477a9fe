import type {Clock} from './clock.ts'
import type {LeaseId} from './identifiers.ts'
import {withLimit} from './limit.ts'
import type {LiveSession} from './liveSession.ts'
import {type LockKeys, mostSettled} from './lockName.ts'
import {type Dequeue, type LeaseStore, markKeyOf} from './ports.ts'
import {settlingMs} from './mode.ts'
import type {LossCause} from './session.ts'
import type {Ticket} from './ticket.ts'
import type {Timeline} from './timeline.ts'

/** The first place in the queue of one lock. */
export interface Place {
  keys: LockKeys
  ticket: Ticket
  /** The mark stands already: it was put together with the ticket. */
  marked: boolean
  /** The marks of others who had vanished when we came to hold. */
  vanished?: readonly string[]
}

interface HeldLockParts {
  store: LeaseStore
  clock: Clock
  session: LiveSession
  /** One or several, on one lease. */
  places: readonly [Place, ...Place[]]
  /** When nobody was ahead any more; absent where that is long ago. */
  admittedAtMs?: number
  /** The tickets' value for a hold that begins now; undefined if it is to stay. */
  ticketValue: () => string | undefined
  tell: (news: HoldNews) => void
}

/** What a hold tells people. */
export type HoldNews =
  /** An own ticket cannot be watched for now: an early end of it is noticed only at the next renewal. */
  {kind: 'unwatched'; reason: string}

/**
 * How a release ended. `gone`: somebody else had removed the ticket before. `unknown`: an answer was lost, so it was us or
 * somebody else. `failed`: etcd did not answer in time. `leftToRun`: the lock-delay is to keep others out.
 */
export type Release = 'removed' | 'gone' | 'unknown' | 'failed' | 'leftToRun'

/**
 * How long a child runs before its ticket is watched. A shorter job costs no watch; the settling time of a newcomer
 * (500 ms) is longer than this and the kill together.
 */
const unwatchedMs = 100
/** How long we try to release. Meanwhile the job is over and only the next holder waits; the lease ends by itself. */
const releaseLimitMs = 5000
/** The same after a loss, when etcd has not answered for most of a TTL. */
const lastReleaseLimitMs = 1000
/** The same for the revoke, which nobody waits for. */
const revokeLimitMs = 1000

/** One lock, or several on one lease, that are ours until `lost` says otherwise: all or none. */
export class HeldLock {
  readonly #parts: HeldLockParts
  readonly #watching = new AbortController()

  constructor(parts: HeldLockParts) {
    this.#parts = parts
  }

  /** For messages: the names, in the order in which the locks were taken. */
  get name(): string {
    return this.#parts.places.map(({keys}) => keys.name).join(', ')
  }

  /** What is held, in the order in which it was taken. */
  get places(): readonly [Place, ...Place[]] {
    return this.#parts.places
  }

  /** When nobody was ahead any more. */
  get admittedAtMs(): number | undefined {
    return this.#parts.admittedAtMs
  }

  get lease(): LeaseId {
    return this.#parts.places[0].ticket.lease
  }

  /** What the latest confirmed renewal gives, from `sentAtMs` on; stays readable after a loss. */
  get timeline(): Timeline {
    return this.#parts.session.timeline
  }

  /** When the latest confirmed renewal was sent. */
  get sentAtMs(): number {
    return this.#parts.session.sentAtMs
  }

  /** From TERM to KILL, in milliseconds. */
  get graceMs(): number {
    return this.#parts.session.timeline.graceMs
  }

  /** What the clean end needs, for whoever makes it in our place; undefined if a lock-delay is to keep others out instead. */
  get ending(): Ending | undefined {
    return this.#parts.session.timeline.lockDelayMs > 0 ? undefined : this.#ending()
  }

  /** When the latest confirmed renewal has the guard end the tree, or, after a loss, KILL is due. */
  get guardAtMs(): number {
    const {lost, sentAtMs, timeline} = this.#parts.session
    const cause = lost.reason as LossCause | undefined
    return cause?.kind === 'unconfirmed' ? cause.killAtMs : sentAtMs + timeline.guardAfterMs
  }

  /** Until when the latest confirmed renewal entitles us, also one after a loss. */
  get entitledUntilMs(): number {
    return this.#parts.session.sentAtMs + this.#parts.session.timeline.entitledMs
  }

  /** Resolves when a renewal that was sent after this call is confirmed; rejects with a `LossCause`, or as `signal` says. */
  confirm(signal: AbortSignal): Promise<void> {
    return this.#parts.session.confirmNow(signal)
  }

  /** Calls `listener` at each confirmed renewal. */
  onConfirmed(listener: () => void): void {
    this.#parts.session.onConfirmed(listener)
  }

  /** Looks at the clocks now: a loss that nobody has noticed yet, after a freeze, is one from here on. */
  look(): void {
    this.#parts.session.look()
  }

  /** Aborted at the first loss, with a `LossCause`. */
  get lost(): AbortSignal {
    return this.#parts.session.lost
  }

  /** Aborted when a ticket is known to be gone: whatever still runs must be killed now. */
  get gone(): AbortSignal {
    return this.#parts.session.gone
  }

  /**
   * The child runs: declares the hold, and watches the own tickets. Both are off the critical path. A watch starts from its
   * ticket's own revision, so nothing is missed.
   */
  childStarted(): void {
    const {signal} = this.#watching
    this.declare(signal).catch((error: unknown) => this.#tellFault(error))
    // Each on a signal of its own: Node warns on stderr of more than ten who listen to one.
    for (const place of this.#parts.places) void this.#keepWatching(place, AbortSignal.any([signal]))
  }

  /**
   * Puts the marks of an unfinished hold where a waiter could not do so with its ticket, and says in those tickets since when
   * it holds. Loses the lock if one of them is gone.
   *
   * @throws as `LeaseStore.declareHold`
   */
  async declare(signal: AbortSignal): Promise<void> {
    const {store, session, places, ticketValue} = this.#parts
    const unmarked = places.flatMap(({marked, ticket, keys}) => {
      const markKey = markKeyOf(keys, ticket.lease)
      return marked || markKey === undefined ? [] : [{ticket, markKey}]
    })
    if (unmarked.length === 0) return
    if (!(await store.declareHold(unmarked, ticketValue(), signal))) session.ticketGone()
  }

  /**
   * Gives the locks back after the tree was seen empty: tickets and marks in one transaction, after which the next holder
   * may start; then the lease is revoked. Never throws.
   *
   * @param clean false after a loss: then a lock-delay, if there is one, is left to run
   */
  async release(clean: boolean): Promise<Release> {
    const {store, clock, session} = this.#parts
    this.#watching.abort()
    if (!clean && session.timeline.lockDelayMs > 0) {
      session.close()
      return 'leftToRun'
    }
    const limitMs = clean ? releaseLimitMs : lastReleaseLimitMs
    return endHold(store, clock, this.#ending(), limitMs, () => session.close())
  }

  /** Stops renewing and watching, and gives nothing back: the lease is left to whoever takes it over, or to run out. */
  leave(): void {
    this.#watching.abort()
    this.#parts.session.close()
  }

  /** Watches until told to stop; a fault that a retry at once cannot mend is told, and tried again later. */
  async #keepWatching(place: Place, signal: AbortSignal): Promise<void> {
    const {clock, session} = this.#parts
    for (let pauseMs = unwatchedMs; !signal.aborted; pauseMs = session.timeline.renewAfterMs) {
      try {
        await clock.sleepUntil(clock.elapsedMs() + pauseMs, signal)
        return await this.#watchTicket(place, signal)
      } catch (error) {
        this.#tellFault(error)
      }
    }
  }

  #tellFault(error: unknown): void {
    if (this.#watching.signal.aborted) return
    this.#parts.tell({kind: 'unwatched', reason: error instanceof Error ? error.message : String(error)})
  }

  async #watchTicket({ticket, keys}: Place, signal: AbortSignal): Promise<void> {
    const {store, session} = this.#parts
    for (let from = ticket.createRevision; ;) {
      if ((await store.deletion(ticket.key, from, signal)) === 'deleted') break
      const view = await store.look(ticket, keys, signal)
      if (view.own === undefined) break
      from = view.revision
    }
    session.ticketGone()
  }

  #ending(): Ending {
    return endingOf(this.#parts, this.#parts.clock)
  }
}

/** What is left to do at etcd for a hold: its tickets, all of one lease, and their marks. */
export type Ending = readonly [Dequeue, ...Dequeue[]]

/** The same for a hold, as of now. */
export function endingOf(
  {
    places: [first, ...others],
    admittedAtMs = -Infinity,
  }: {places: readonly [Omit<Place, 'marked'>, ...Omit<Place, 'marked'>[]]; admittedAtMs?: number},
  clock: Clock,
): Ending {
  // If they are not, who comes next lets their trees die once more.
  const areSettled = clock.elapsedMs() - admittedAtMs >= settlingMs
  const hold = ({ticket, keys, vanished = []}: Omit<Place, 'marked'>): Dequeue => {
    const markKey = markKeyOf(keys, ticket.lease)
    const settled = areSettled && vanished.length > 0 ? {settled: vanished.slice(0, mostSettled)} : {}
    return {ticket, ...(markKey !== undefined && {markKey}), ...settled}
  }
  return [hold(first), ...others.map(hold)]
}

/**
 * The clean end of a hold whose tree was seen empty: tickets and marks in one transaction, after which the next holder may
 * start; then the lease is revoked. Never throws.
 *
 * @param onPassedOn called in between
 */
export async function endHold(
  store: LeaseStore,
  clock: Clock,
  holds: Ending,
  limitMs = releaseLimitMs,
  onPassedOn = (): void => {},
): Promise<Exclude<Release, 'leftToRun'>> {
  const within = async <T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T | 'failed'> => {
    const limit = {atMs: clock.elapsedMs() + ms, reason: new Error('out of time')}
    return withLimit(clock, limit, undefined, work).catch(() => 'failed' as const)
  }
  const release = await within(limitMs, (signal) => store.dequeue(holds, signal))
  onPassedOn()
  if (release !== 'failed')
    await within(revokeLimitMs, (signal) => store.revoke(holds[0].ticket.lease, signal))
  return release
}
