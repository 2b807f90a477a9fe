import type {Clock} from './clock.ts'

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
  const control = new AbortController()
  const follow = (): void => control.abort(signal?.reason)
  if (signal?.aborted === true) follow()
  signal?.addEventListener('abort', follow, {once: true})
  const cancel = limit.atMs < Infinity ? clock.at(limit.atMs, () => control.abort(limit.reason)) : undefined
  try {
    return await work(control.signal)
  } finally {
    cancel?.()
    signal?.removeEventListener('abort', follow)
  }
}
