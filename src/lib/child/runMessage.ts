import {unreachable} from '../core/errors.ts'
import type {Release} from '../core/heldLock.ts'
import type {LossCause} from '../core/session.ts'
import {describeHolder} from '../core/ticket.ts'
import type {RunOutcome} from './runUnderLock.ts'

/**
 * What to say of a run's end: nothing if all went well.
 *
 * @param contention whether to say that somebody else holds the lock: to a person; a cron job asked for silence
 */
export function runMessage(outcome: RunOutcome, contention: boolean): string | undefined {
  switch (outcome.outcome) {
    case 'ended':
      return (
        [leftoverMessage(outcome.leftovers), releaseMessage(outcome.release)]
          .filter(Boolean)
          .join(', and ') || undefined
      )
    case 'lost':
      return lossMessage(outcome.cause, outcome.late)
    case 'waitedOut':
      return 'not acquired: the wait ran out; wait longer with -w, or find out who holds it'
    case 'contended':
      return contention
        ? `not acquired: held by ${describeHolder(outcome.ahead)}; wait for it with -w`
        : undefined
    case 'interrupted':
      return undefined
    default:
      return unreachable(outcome)
  }
}

function lossMessage(cause: LossCause, late: boolean): string {
  if (cause.kind === 'ticketGone') {
    return 'the lock was taken away (its ticket was deleted, its lease revoked or expired) and the job was killed; find out who did it'
  }
  if (late) {
    return `the lease was lost (${cause.reason}) and the job was ended only when others may have started; check what both did`
  }
  return `the lease was lost (${cause.reason}) and the job was ended before anybody else could start; check etcd and the network`
}

function leftoverMessage(leftovers: boolean): string | undefined {
  return leftovers
    ? 'the job left processes behind, which were ended; let it wait for its children'
    : undefined
}

function releaseMessage(release: Release): string | undefined {
  switch (release) {
    case 'gone':
      return 'the lock was gone already when the job ended, so its last moments were not protected; find out who removed it'
    case 'failed':
      return 'the release was not answered; the next holder starts when the lease has run out'
    case 'removed':
    case 'unknown':
    case 'leftToRun':
      return undefined
    default:
      return unreachable(release)
  }
}
