import type {Clock} from './clock.ts'
import type {LeaseStore} from './ports.ts'
import {type LossCause, type Session, type SessionEvent, judge, transition} from './session.ts'
import {underSignals} from './signals.ts'
import type {Ticket} from './ticket.ts'
import {type Terms, type Timeline, timeline} from './timeline.ts'

/** What a session tells people about itself. */
export type SessionNews =
  /** Renewals fail; TERM follows in `termInMs` unless etcd comes back. Said once, half-way. */
  {kind: 'jeopardy'; termInMs: number; reason: string} | {kind: 'recovered'}

interface SessionParts {
  store: LeaseStore
  clock: Clock
  /** The first. */
  ticket: Ticket
  terms: Terms
  tell: (news: SessionNews) => void
}

/** A wall clock that runs ahead of elapsed time by more than this means time that no other clock saw, or a step: ask etcd at once. */
const wallJumpMs = 1000

/** How long a renewal that failed at once waits for the next try, where half a renewal interval would be longer. */
const longestRetryPauseMs = 1000

/**
 * The session of one or several tickets on one lease, kept alive: renews on the timeline, performs what `transition` decides, and goes on renewing
 * after a loss until it is closed, for the tree it protects may still be dying.
 */
export class LiveSession {
  readonly #parts: SessionParts
  readonly #closing = new AbortController()
  readonly #lost = new AbortController()
  readonly #gone = new AbortController()
  /** Aborted when there is nothing to renew any more. */
  readonly #renewing = AbortSignal.any([this.#closing.signal, this.#gone.signal])
  #tickets: readonly [Ticket, ...Ticket[]]
  readonly #confirmations = new Set<(sentAtMs: number) => void>()
  #sentAtMs: number
  #session: Session = {state: 'pending'}
  /** Kept beside the state, which forgets it when lost: renewals go on after that. */
  #timeline: Timeline
  #renewAtMs: number
  #hurry: () => void = () => {}
  #cancelTick: () => void = () => {}
  #wallLeadMs: number

  /** Starts renewing. `granted` is what the lease's grant confirmed. */
  constructor(parts: SessionParts, granted: {sentAtMs: number; timeline: Timeline}) {
    this.#parts = parts
    this.#tickets = [parts.ticket]
    this.#timeline = granted.timeline
    this.#sentAtMs = granted.sentAtMs
    this.#renewAtMs = granted.sentAtMs + granted.timeline.renewAfterMs
    this.#wallLeadMs = this.#wallLead()
    this.#on({type: 'confirmed', ...granted})
    void this.#keepRenewing()
  }

  /** Aborted at the first loss, with a `LossCause` as its reason: end the tree by `killAtMs`. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Aborted when a ticket was seen missing, also after another loss: end the tree now. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  /** The timeline of the latest confirmed renewal; stays readable after a loss. */
  get timeline(): Timeline {
    return this.#timeline
  }

  /** When the latest confirmed renewal was sent, also one after a loss. */
  get sentAtMs(): number {
    return this.#sentAtMs
  }

  /** The same with the moment its renewal was sent, while that entitles us to anything. */
  get confirmed(): {timeline: Timeline; sentAtMs: number} | undefined {
    const session = this.#session
    return session.state === 'held' || session.state === 'jeopardy' ? session : undefined
  }

  /** From now on every renewal that is sent has to find this ticket, too. */
  add(ticket: Ticket): void {
    this.#tickets = [...this.#tickets, ticket]
  }

  /**
   * From now on a child depends on this lease: the guard band applies. False, and nothing changes, if less is left than
   * a child needs at its start; renew first.
   *
   * @param needs which of the timeline's two needs counts: after a renewal that was sent for this start, one retry less
   */
  guard(needs: 'startNeedsMs' | 'startNeedsAfterRenewalMs' = 'startNeedsMs'): boolean {
    const {confirmed} = this
    if (confirmed === undefined) return false
    const leftMs = confirmed.sentAtMs + confirmed.timeline.entitledMs - this.#parts.clock.elapsedMs()
    if (leftMs < confirmed.timeline[needs]) return false
    this.#on({type: 'guarded'})
    this.#tick()
    return true
  }

  /** Looks at the clocks, and loses the lease if TERM is due: for who woke up and is about to act. */
  look(): void {
    this.#tick()
  }

  /** Calls `listener` at each confirmed renewal, also after a loss. */
  onConfirmed(listener: () => void): void {
    this.#confirmations.add(listener)
  }

  /** Resolves when a renewal that was sent after this call is confirmed; rejects when lost or when `signal` is aborted. */
  confirmNow(signal: AbortSignal): Promise<void> {
    const sinceMs = this.#parts.clock.elapsedMs()
    const ended = AbortSignal.any([signal, this.lost, this.#closing.signal])
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#confirmations.delete(onConfirmed)
        ended.removeEventListener('abort', onEnded)
      }
      const onConfirmed = (sentAtMs: number): void => {
        if (sentAtMs < sinceMs) return
        settle()
        resolve()
      }
      const onEnded = (): void => {
        settle()
        reject(ended.reason as Error)
      }
      if (ended.aborted) return onEnded()
      ended.addEventListener('abort', onEnded, {once: true})
      this.#confirmations.add(onConfirmed)
      this.#renewSoon()
    })
  }

  /** Somebody saw a ticket deleted. */
  ticketGone(): void {
    this.#on({type: 'ticketGone'})
    this.#gone.abort()
  }

  /** Stops renewing. The lease is then the caller's to release, or etcd's to expire. */
  close(): void {
    this.#on({type: 'released'})
    this.#cancelTick()
    this.#closing.abort()
  }

  async #keepRenewing(): Promise<void> {
    const {clock} = this.#parts
    while (!this.#renewing.aborted) {
      if (clock.elapsedMs() < this.#renewAtMs) await this.#waitForRenewal()
      else await this.#renew()
    }
  }

  async #waitForRenewal(): Promise<void> {
    const hurried = new AbortController()
    this.#hurry = () => hurried.abort()
    await underSignals([this.#renewing, hurried.signal], (signal) =>
      this.#parts.clock.sleepUntil(this.#renewAtMs, signal),
    ).catch(() => {})
    this.#hurry = () => {}
  }

  async #renew(): Promise<void> {
    // Time may have gone by unseen: a loss comes first, and is not hidden by what this renewal finds.
    this.#tick()
    const {store, clock, terms} = this.#parts
    const tickets = this.#tickets
    const {attemptMs} = this.#timeline
    const startedAtMs = clock.elapsedMs()
    const wallLeadMs = this.#wallLead()
    this.#renewAtMs = startedAtMs + this.#timeline.renewAfterMs
    try {
      const evidence = await store.renew(tickets, this.#timeline, this.#renewing)
      if (this.#renewing.aborted) return
      const verdict = judge(evidence, tickets)
      switch (verdict.is) {
        case 'confirmed':
          // A jump of the wall clock since then is not covered by this evidence.
          this.#wallLeadMs = wallLeadMs
          return this.#onConfirmed(evidence.sentAtMs, timeline(evidence.ttlMs, terms))
        case 'ticketGone':
          return this.ticketGone()
        case 'unproven':
          this.#onFailure(verdict.reason, startedAtMs + attemptMs / 4)
      }
    } catch (error) {
      // A failure that came at once (connection refused) is not repeated at once; one that took its time is.
      const retryAtMs = startedAtMs + Math.min(attemptMs, longestRetryPauseMs)
      this.#onFailure(error instanceof Error ? error.message : String(error), retryAtMs)
    }
  }

  #onConfirmed(sentAtMs: number, confirmedTimeline: Timeline): void {
    // The moment of TERM may have passed while we did not run, and the guard acted: a loss stays one.
    this.#tick()
    if (sentAtMs > this.#sentAtMs) this.#sentAtMs = sentAtMs
    this.#timeline = confirmedTimeline
    this.#renewAtMs = Math.min(this.#renewAtMs, sentAtMs + confirmedTimeline.renewAfterMs)
    this.#on({type: 'confirmed', sentAtMs, timeline: confirmedTimeline})
    for (const onConfirmed of this.#confirmations) onConfirmed(sentAtMs)
    this.#tick()
  }

  #onFailure(reason: string, retryAtMs: number): void {
    if (this.#closing.signal.aborted) return
    this.#renewAtMs = retryAtMs
    this.#on({type: 'renewalFailed', reason})
    this.#tick()
  }

  #renewSoon(): void {
    this.#renewAtMs = this.#parts.clock.elapsedMs()
    this.#hurry()
  }

  /** Looks at the clocks now, at the next moment that matters, and every second in between. */
  #tick(): void {
    this.#cancelTick()
    const {clock} = this.#parts
    const nowMs = clock.elapsedMs()
    if (this.#wallLead() - this.#wallLeadMs > wallJumpMs) {
      this.#wallLeadMs = this.#wallLead()
      this.#renewSoon()
    }
    this.#on({type: 'clock', nowMs})
    const {confirmed} = this
    if (confirmed === undefined || this.#closing.signal.aborted) return
    const {sentAtMs, timeline: confirmedTimeline} = confirmed
    const moments = [confirmedTimeline.warnAfterMs, confirmedTimeline.termAfterMs].map(
      (ms) => sentAtMs + ms - nowMs,
    )
    const delayMs = Math.min(1000, ...moments.filter((ms) => ms > 0))
    this.#cancelTick = clock.schedule(delayMs, () => this.#tick())
  }

  #wallLead(): number {
    return this.#parts.clock.wallMs() - this.#parts.clock.elapsedMs()
  }

  #on(event: SessionEvent): void {
    const {session, effects} = transition(this.#session, event)
    this.#session = session
    for (const effect of effects) {
      switch (effect.effect) {
        case 'announceJeopardy': {
          const termInMs = effect.termAtMs - this.#parts.clock.elapsedMs()
          this.#parts.tell({kind: 'jeopardy', termInMs, reason: effect.reason})
          break
        }
        case 'announceRecovery':
          this.#parts.tell({kind: 'recovered'})
          break
        case 'lose':
          this.#lose(effect.cause)
      }
    }
  }

  #lose(cause: LossCause): void {
    this.#cancelTick()
    this.#lost.abort(cause)
  }
}
