import type {LeashError} from '../core/errors.ts'
import type {RunOutcome} from './runUnderLock.ts'

/** What the child's processes are contained by, and hence what an end reaches. */
const containment = 'process group'

/**
 * A run's end for the status file: the `lock`, the `outcome`, its `cause` (of a loss, or the signal that interrupted us), the
 * `exitStatus`, `code` and `signal` of the child, `fence`, `key`, `lease`, `waitedMs`, `heldMs`, `late`, `leftovers` and
 * `containment`. What does not apply is null.
 */
export function runReport(lock: string, outcome: RunOutcome, exitStatus: number): Record<string, unknown> {
  const hold = 'fence' in outcome ? outcome : undefined
  const child = hold?.child
  return {
    lock,
    outcome: outcome.outcome,
    cause: causeOf(outcome),
    exitStatus,
    code: child !== undefined && 'code' in child ? child.code : null,
    signal: child !== undefined && 'signal' in child ? child.signal : null,
    fence: hold?.fence ?? null,
    key: hold?.key ?? null,
    lease: hold?.lease ?? null,
    waitedMs: outcome.waitedMs,
    heldMs: hold?.heldMs ?? null,
    late: outcome.outcome === 'lost' ? outcome.late : null,
    leftovers: outcome.outcome === 'ended' ? outcome.leftovers : null,
    containment: hold === undefined ? null : containment,
  }
}

/** The same for a run that a fault ended: `cause` is the fault's code, and there is a `message`. */
export function failureReport(lock: string, fault: LeashError, exitStatus: number): Record<string, unknown> {
  return {
    lock: lock === '' ? null : lock,
    outcome: 'failed',
    cause: fault.code,
    message: fault.message,
    exitStatus,
    code: null,
    signal: null,
    fence: null,
    key: null,
    lease: null,
    waitedMs: null,
    heldMs: null,
    late: null,
    leftovers: null,
    containment: null,
  }
}

function causeOf(outcome: RunOutcome): string | null {
  if (outcome.outcome === 'lost') return outcome.cause.kind
  return outcome.outcome === 'interrupted' ? outcome.signal : null
}
