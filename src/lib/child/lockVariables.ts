import {type FencingToken, type LeaseId, fencingToken, leaseHex} from '../core/identifiers.ts'
import type {Ticket} from '../core/ticket.ts'

/** One lock as those who work under it get to know it. */
export interface LockDescription {
  /** The name of the lock, or of the election that we lead. */
  lock: string
  fence: FencingToken
  key: string
}

/** @param name the lock's */
export function describeLock(name: string, {key, createRevision}: Ticket): LockDescription {
  return {lock: name, fence: fencingToken(createRevision), key}
}

/**
 * The variables by which a command knows the locks that it runs under; undefined for one that must not be there, not even an
 * inherited one. For one lock: `LEASH_LOCK`, `LEASH_FENCE`, `LEASH_KEY` and `LEASH_LEASE`. For several only `LEASH_LOCKS`,
 * all of it in a JSON array, numbers as strings: the largest fencing token of several would fence none of them. Who leads an
 * election has `LEASH_ELECTION` in place of `LEASH_LOCK`.
 */
export function lockVariables(
  locks: readonly [LockDescription, ...LockDescription[]],
  leaseId: LeaseId,
  kind: 'lock' | 'election' = 'lock',
): Record<string, string | undefined> {
  const lease = leaseHex(leaseId)
  const [{lock, fence, key}, ...others] = locks
  const one = {
    LEASH_LOCK: kind === 'lock' ? lock : undefined,
    LEASH_ELECTION: kind === 'election' ? lock : undefined,
    LEASH_FENCE: fence.toString(),
    LEASH_LEASE: lease,
    LEASH_KEY: key,
    LEASH_LOCKS: undefined,
  }
  if (others.length === 0) return one
  const all = locks.map((each) => ({...each, fence: each.fence.toString(), lease}))
  const none = {LEASH_LOCK: undefined, LEASH_FENCE: undefined, LEASH_LEASE: undefined, LEASH_KEY: undefined}
  return {...none, LEASH_ELECTION: undefined, LEASH_LOCKS: JSON.stringify(all)}
}
