import type {Clock} from './clock.ts'
import {type FencingToken, fencingToken} from './identifiers.ts'
import {withLimit} from './limit.ts'
import type {LiveSession} from './liveSession.ts'
import type {LockKeys} from './lockName.ts'
import type {LeaseStore} from './ports.ts'
import type {Ticket} from './ticket.ts'

interface HeldLockParts {
  store: LeaseStore
  clock: Clock
  keys: LockKeys
  session: LiveSession
  ticket: Ticket
  /** The mark stands already: it was put together with the ticket. */
  marked: boolean
  /** The ticket's value for a hold that begins now. */
  describe: () => string
}

/** How a release ended. `gone`: somebody else had removed the ticket before. `failed`: etcd did not answer in time. */
export type Release = 'removed' | 'gone' | 'unknown' | 'failed'

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

/** A lock that is ours until `lost` says otherwise. */
export class HeldLock {
  readonly #parts: HeldLockParts
  readonly #watching = new AbortController()

  constructor(parts: HeldLockParts) {
    this.#parts = parts
  }

  get name(): string {
    return this.#parts.keys.name
  }

  get ticket(): Ticket {
    return this.#parts.ticket
  }

  get fence(): FencingToken {
    return fencingToken(this.#parts.ticket.createRevision)
  }

  /** From TERM to KILL, in milliseconds. */
  get graceMs(): number {
    return this.#parts.session.timeline.graceMs
  }

  /** Aborted at the first loss, with a `LossCause`. */
  get lost(): AbortSignal {
    return this.#parts.session.lost
  }

  /** Aborted when the ticket is known to be gone: whatever still runs must be killed now. */
  get gone(): AbortSignal {
    return this.#parts.session.gone
  }

  /**
   * The child runs: puts the mark of an unfinished hold if a waiter could not do so with its ticket, and says in the ticket
   * since when it holds; and watches the own ticket. Both are off the critical path. The watch starts from the ticket's own
   * revision, so nothing is missed.
   */
  childStarted(): void {
    const {store, clock, session, ticket, keys, marked, describe} = this.#parts
    const {signal} = this.#watching
    const ignoreAbort = (): void => {}
    if (!marked && keys.markKey !== undefined) {
      const mark = {markKey: keys.markKey, value: describe()}
      store.putMark(ticket, mark, signal).then((there) => there || session.ticketGone(), ignoreAbort)
    }
    clock
      .sleepUntil(clock.elapsedMs() + unwatchedMs, signal)
      .then(() => this.#watchOwnTicket(signal))
      .catch(ignoreAbort)
  }

  /**
   * Gives the lock back after the tree was seen empty: ticket and mark in one transaction, after which the next holder
   * may start; then the lease is revoked. Never throws.
   *
   * @param clean false after a loss: then a lock-delay, if there is one, is left to run
   */
  async release(clean: boolean): Promise<Release> {
    const {store, session, ticket, keys} = this.#parts
    this.#watching.abort()
    if (!clean && session.timeline.lockDelayMs > 0) {
      session.close()
      return 'unknown'
    }
    const release = await this.#within(clean ? releaseLimitMs : lastReleaseLimitMs, (signal) =>
      store.dequeue({ticket, ...(keys.markKey !== undefined && {markKey: keys.markKey})}, signal),
    )
    session.close()
    if (release !== 'failed')
      await this.#within(revokeLimitMs, (signal) => store.revoke(ticket.lease, signal))
    return release
  }

  async #watchOwnTicket(signal: AbortSignal): Promise<void> {
    const {store, session, ticket, keys} = this.#parts
    for (let from = ticket.createRevision; ;) {
      if ((await store.deletion(ticket.key, from, signal)) === 'deleted') break
      const view = await store.look(ticket, keys, signal)
      if (view.own === undefined) break
      from = view.revision
    }
    session.ticketGone()
  }

  async #within<T>(limitMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T | 'failed'> {
    const {clock} = this.#parts
    const limit = {atMs: clock.elapsedMs() + limitMs, reason: new Error('out of time')}
    return withLimit(clock, limit, undefined, work).catch(() => 'failed' as const)
  }
}
