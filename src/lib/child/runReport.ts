import type {RunOutcome} from './runUnderLock.ts'

/** What the child's processes are contained by, and hence what an end reaches. */
const containment = 'process group'

/**
 * A run's end for the status file: `outcome`, `cause` (of a loss, or the signal that interrupted us), `code` and `signal`
 * of the child, `fence`, `key`, `lease`,
 * `waitedMs`, `heldMs`, `containment`, `exitStatus`. What does not apply is null.
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
    leftovers: outcome.outcome === 'ended' ? outcome.leftovers : null,
    containment: hold === undefined ? null : containment,
  }
}

function causeOf(outcome: RunOutcome): string | null {
  if (outcome.outcome === 'lost') return outcome.cause.kind
  return outcome.outcome === 'interrupted' ? outcome.signal : null
}
