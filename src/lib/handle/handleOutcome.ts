import {notAcquired, runStatus} from '../child/exitStatus.ts'
import {lockWords, runMessage} from '../child/runMessage.ts'
import type {HandleOutcome} from './acquireHandle.ts'

/** The exit status of `acquire`. */
export function handleStatus(outcome: HandleOutcome, conflict = notAcquired): number {
  if (outcome.outcome === 'acquired') return 0
  return outcome.outcome === 'ownHandle' ? conflict : runStatus(outcome, {conflict})
}

/**
 * What to say of its end: nothing if all went well.
 *
 * @param contention whether to say that somebody else holds the lock: to a person; a cron job asked for silence
 * @param words for a lock or an election
 */
export function handleMessage(
  outcome: HandleOutcome,
  contention: boolean,
  words = lockWords,
): string | undefined {
  if (outcome.outcome === 'acquired') return undefined
  if (outcome.outcome !== 'ownHandle') return runMessage(outcome, contention, 'leave', words)
  return `${words.not}: it is held already by the handle of this script, ${outcome.path}; use that, or release it before`
}
