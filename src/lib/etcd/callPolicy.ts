import type {Clock} from '../core/clock.ts'
import {LeashError} from '../core/errors.ts'
import {withLimit} from '../core/limit.ts'
import {type Failure, classify, toError} from './failure.ts'
import type {Member} from './member.ts'

/** Long enough for a slow disk's fsync, short enough to try two members within any connect timeout that makes sense. */
const firstAttemptMs = 1000
/** A member that is slow, not dead, must be able to answer at last. */
const longestAttemptMs = 5000
const firstPauseMs = 50
/** Not longer: when etcd comes back, scripts wait for us. */
const longestPauseMs = 1000

const attemptOver = Symbol('attempt over')

/** What an attempt needs to know beside its member: `repeated` when an earlier one's outcome is unknown. */
export interface Attempt {
  member: Member
  signal: AbortSignal
  repeated: boolean
}

/**
 * Which member is asked, how long it may take, and what is tried again. Members are asked in the order given, beginning
 * with the last one that answered. Every call of leash is a read or idempotent by construction, so every transient
 * failure is retried, until the caller's signal is aborted.
 */
export class CallPolicy {
  readonly #members: readonly [Member, ...Member[]]
  readonly #clock: Clock
  readonly #revive: (() => Promise<void>) | undefined
  #preferred = 0
  #hasAnswered = false
  #lastFailure: string | undefined
  /** What the latest revival failed for: why nobody answers, which the connection does not know. */
  #keptAwayBy: string | undefined
  #reviving: Promise<void> | undefined

  /** @param revive brings back a server that does not run; called once for all calls that miss it */
  constructor(members: readonly [Member, ...Member[]], clock: Clock, revive?: () => Promise<void>) {
    this.#members = members
    this.#clock = clock
    this.#revive = revive
  }

  /** Why the latest attempt that failed did so. */
  get lastFailure(): string | undefined {
    return this.#lastFailure
  }

  /** The member to ask first, and who else is there. */
  get members(): readonly [Member, ...Member[]] {
    const [first, ...rest] = [
      ...this.#members.slice(this.#preferred),
      ...this.#members.slice(0, this.#preferred),
    ]
    return [first ?? this.#members[0], ...rest]
  }

  /**
   * @param recover turns a failure into an answer, or leaves it (undefined)
   * @throws what `signal` was aborted with; `LeaseGone`; `LeashError` for what a retry cannot mend, nor a revival;
   *   and, as long as nobody has answered, for a server that cannot be brought back now
   */
  async call<Answer>(
    signal: AbortSignal,
    attempt: (attempt: Attempt) => Promise<Answer>,
    recover?: (failure: Failure) => Answer | undefined,
  ): Promise<Answer> {
    for (let tries = 0; ; tries++) {
      const member = this.members[0]
      const atMs =
        this.#clock.elapsedMs() + Math.min(firstAttemptMs * 2 ** Math.floor(tries / 2), longestAttemptMs)
      try {
        return await this.attempt(member, atMs, signal, (limited) =>
          attempt({member, signal: limited, repeated: tries > 0}),
        )
      } catch (error) {
        signal.throwIfAborted()
        const failure = this.noteFailure(error, member)
        const recovered = recover?.(failure)
        if (recovered !== undefined) return recovered
        if (failure.is !== 'transient') throw toError(failure)
      }
      await Promise.all([this.#pause(tries, signal), this.#revived(signal)])
    }
  }

  /** One attempt until `atMs`; a member that answers becomes the preferred one, one that does not is reconnected. */
  async attempt<Answer>(
    member: Member,
    atMs: number,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer> {
    try {
      const answer = await withLimit(this.#clock, {atMs, reason: attemptOver}, signal, work)
      this.#preferred = this.#members.indexOf(member)
      this.#hasAnswered = true
      this.#keptAwayBy = undefined
      return answer
    } catch (error) {
      if (error === attemptOver) member.reset()
      throw error
    }
  }

  /** Remembers a failure for messages, and asks another member next if this one was the preferred. */
  noteFailure(error: unknown, member: Member): Failure {
    let failure: Failure =
      error === attemptOver
        ? {is: 'transient', reason: `${member.endpoint}: no answer in time`}
        : classify(error, member.endpoint)
    if (failure.is === 'transient') {
      failure = {is: 'transient', reason: this.#keptAwayBy ?? failure.reason}
      this.#lastFailure = failure.reason
      if (this.members[0] === member) this.#preferred = (this.#preferred + 1) % this.#members.length
      this.#startRevival()
    }
    return failure
  }

  /** A connection that found nobody would not try again for a while, and one that stands may lead to a server that is ending. */
  #startRevival(): void {
    if (this.#revive === undefined || this.#reviving !== undefined) return
    this.#reviving = this.#revive()
      .then(() => {
        this.#keptAwayBy = undefined
        this.#members.forEach((member) => member.reset())
      })
      .finally(() => (this.#reviving = undefined))
    // Who renews a lease does not wait for it, and goes by its time.
    this.#reviving.catch((error: unknown) => {
      this.#lastFailure = this.#keptAwayBy = String((error as Error).message)
    })
  }

  /**
   * Resolves when the revival that is under way has ended. A server that cannot be brought back just now is told of at once to
   * a command that begins; for who was answered before, it is an outage like any other.
   */
  async #revived(signal: AbortSignal): Promise<void> {
    const reviving = this.#reviving
    if (reviving === undefined) return
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason as Error)
      if (signal.aborted) return onAbort()
      signal.addEventListener('abort', onAbort, {once: true})
      const onFailure = (error: Error): void => {
        const isOutage = error instanceof LeashError && error.code === 'unavailable'
        if (this.#hasAnswered && isOutage) resolve()
        else reject(error)
      }
      reviving.then(resolve, onFailure).finally(() => signal.removeEventListener('abort', onAbort))
    })
  }

  /** Within a round the next member is asked at once; between rounds a jittered pause doubles. */
  async #pause(tries: number, signal: AbortSignal): Promise<void> {
    const round = Math.floor(tries / this.#members.length)
    const roundOver = (tries + 1) % this.#members.length === 0
    const pauseMs = roundOver
      ? Math.min(firstPauseMs * 2 ** round, longestPauseMs) * (0.5 + Math.random() / 2)
      : 0
    await this.#clock.sleepUntil(this.#clock.elapsedMs() + pauseMs, signal)
  }
}
