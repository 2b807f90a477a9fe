import type {Clock} from './clock.ts'
import {underSignals} from './signals.ts'

/** A moment by which something must be done, and what its signal says when it was not. */
export interface Limit {
  /** By the clock that is passed beside it; `Infinity` for none. */
  atMs: number
  reason: unknown
}

/**
 * Does `work` under a signal that is aborted with `signal`'s reason, or with `reason` at `atMs`. The time limit of a call
 * is in the clock that core uses, so that it can be tested and a wall clock's step does not matter.
 */
export async function withLimit<T>(
  clock: Clock,
  limit: Limit,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const expiry = new AbortController()
  const over = new AbortController()
  if (limit.atMs < Infinity) {
    const expire = (): void => expiry.abort(limit.reason)
    clock.sleepUntil(limit.atMs, over.signal).then(expire, () => {})
  }
  try {
    return await (signal === undefined ? work(expiry.signal) : underSignals([signal, expiry.signal], work))
  } finally {
    over.abort()
  }
}
