import type {LeashError} from '../core/errors.ts'
import type {RunOutcome} from './runUnderLock.ts'

/** What a run that never held the lock has nothing to say of. */
const noHold = {
  code: null,
  signal: null,
  fence: null,
  key: null,
  locks: null,
  lease: null,
  heldMs: null,
  leftovers: null,
  possibleOverlap: null,
  containment: null,
}

/**
 * A run's end for the status file: the `lock`, the `outcome`, its `cause` (of a loss, or the signal that interrupted us), the
 * `exitStatus`, `code` and `signal` of the child, `locks` (each one's `lock`, `fence` and `key`), of a single one also `fence`
 * and `key`, `lease`, `waitedMs`, `heldMs`, `leftovers`, `possibleOverlap` and `containment`. What does not apply is null.
 */
export function runReport(lock: string, outcome: RunOutcome, exitStatus: number): Record<string, unknown> {
  const {outcome: kind, waitedMs} = outcome
  const end = {lock, outcome: kind, cause: causeOf(outcome), exitStatus, waitedMs, ...noHold}
  if (!('locks' in outcome)) return end
  const {child = {}, locks, lease, heldMs, leftovers, possibleOverlap, containment} = outcome
  const [{fence, key}, ...others] = locks
  const single = others.length === 0 ? {fence, key} : {}
  return {...end, ...child, ...single, locks, lease, heldMs, leftovers, possibleOverlap, containment}
}

/** The same for a run that a fault ended: `cause` is the fault's code, and there is a `message`. */
export function failureReport(lock: string, fault: LeashError, exitStatus: number): Record<string, unknown> {
  const {code: cause, message} = fault
  return {lock: lock || null, outcome: 'failed', cause, message, exitStatus, waitedMs: null, ...noHold}
}

function causeOf(outcome: RunOutcome): string | null {
  if (outcome.outcome === 'lost') return outcome.cause.kind
  return outcome.outcome === 'interrupted' ? outcome.signal : null
}
