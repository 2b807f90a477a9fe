/**
 * Where time comes from. Three clocks, because each lies in its own way: the monotonic clock stands still while the
 * machine is suspended, boot time counts suspend but is coarse (10 ms on Linux), wall time can be set.
 */
export interface TimeSource {
  /** Milliseconds of the monotonic clock; never steps, does not count suspend. */
  monotonicMs(): number
  /** Milliseconds since boot, suspend included. */
  bootMs(): number
  /** Milliseconds since the epoch; may step either way. */
  wallMs(): number
  /** Calls `wake` once, `delayMs` of monotonic time from now, and returns what cancels that. */
  schedule(delayMs: number, wake: () => void): () => void
}

/** The longest sleep without a look at the clock: timers do not count suspend, so a deadline is looked at every second. */
const longestSleepMs = 1000

/** Elapsed time as the lease protocol needs it: the larger of monotonic and boot time, so that a suspend counts. */
export class Clock {
  readonly #source: TimeSource
  readonly #monotonicStartMs: number
  readonly #bootStartMs: number

  constructor(source: TimeSource) {
    this.#source = source
    this.#monotonicStartMs = source.monotonicMs()
    this.#bootStartMs = source.bootMs()
  }

  /** Milliseconds since this clock was made; never goes back. All `...AtMs` in core are readings of this. */
  elapsedMs(): number {
    return Math.max(
      this.#source.monotonicMs() - this.#monotonicStartMs,
      this.#source.bootMs() - this.#bootStartMs,
    )
  }

  /** Milliseconds since the epoch: for people, and as a hint that time passed which the other clocks did not see. */
  wallMs(): number {
    return this.#source.wallMs()
  }

  /** The boot time, in milliseconds, of a moment of this clock: for a process that has no other clock in common with us. */
  bootMsAt(atMs: number): number {
    return this.#source.bootMs() + atMs - this.elapsedMs()
  }

  /** When it is so late by boot time, as another process on this machine counts it. */
  atBootMs(bootMs: number): number {
    return this.elapsedMs() + bootMs - this.#source.bootMs()
  }

  /** Calls `wake` once after `delayMs` of monotonic time; the function returned cancels it. */
  schedule(delayMs: number, wake: () => void): () => void {
    return this.#source.schedule(delayMs, wake)
  }

  /**
   * Calls `wake` once when `atMs` has come, looking again every second, and never before this has returned; the function
   * returned cancels it.
   */
  at(atMs: number, wake: () => void): () => void {
    const look = (): (() => void) => {
      const leftMs = atMs - this.elapsedMs()
      return leftMs > 0
        ? this.#source.schedule(Math.min(leftMs, longestSleepMs), () => (cancel = look()))
        : soon(wake)
    }
    let cancel = look()
    return () => cancel()
  }

  /** Resolves when `atMs` has come, as `at` does; rejects with `signal.reason` when that is aborted. */
  sleepUntil(atMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason as Error)
      const onAbort = (): void => {
        cancel()
        reject(signal?.reason as Error)
      }
      signal?.addEventListener('abort', onAbort, {once: true})
      const cancel = this.at(atMs, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      })
    })
  }
}

function soon(wake: () => void): () => void {
  let isCancelled = false
  queueMicrotask(() => isCancelled || wake())
  return () => (isCancelled = true)
}
