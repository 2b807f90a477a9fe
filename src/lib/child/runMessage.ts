import {unreachable} from '../core/errors.ts'
import type {Release} from '../core/heldLock.ts'
import {describeHolder} from '../core/ticket.ts'
import type {RunOutcome} from './runUnderLock.ts'
import type {TreeNews} from './superviseChild.ts'
import type {EndCause, LeftoverPolicy} from './supervision.ts'

/** What is said of who wants a lock. */
export const lockWords = {not: 'not acquired', does: 'holds', done: 'held'}
/** The same of a candidate. */
export const electionWords: typeof lockWords = {not: 'not elected', does: 'leads', done: 'led'}

/**
 * What to say of a run's end: nothing if all went well.
 *
 * @param contention whether to say that somebody else holds the lock: to a person; a cron job asked for silence
 * @param policy what became of processes that the job left behind
 * @param words for a lock or an election
 */
export function runMessage(
  outcome: RunOutcome,
  contention: boolean,
  policy: LeftoverPolicy,
  words = lockWords,
): string | undefined {
  switch (outcome.outcome) {
    case 'ended':
      return (
        [
          outcome.leftovers ? leftoverMessages[policy] : undefined,
          outcome.possibleOverlap ? overlapMessage : releaseMessage(outcome.release),
        ]
          .filter(Boolean)
          .join(', and ') || undefined
      )
    case 'lost':
      return lossMessage(outcome)
    case 'waitedOut':
      return `${words.not}: the wait ran out; wait longer with -w, or find out who ${words.does} it`
    case 'contended': {
      const which = outcome.name === undefined ? '' : `${outcome.name} is `
      const holder = describeHolder(outcome.ahead)
      return contention ? `${words.not}: ${which}${words.done} by ${holder}; wait for it with -w` : undefined
    }
    case 'interrupted':
      return undefined
    default:
      return unreachable(outcome)
  }
}

/** What to say while a tree cannot be ended. */
export function treeMessage(news: TreeNews): string {
  if (news.kind === 'overlapPossible') {
    return 'POSSIBLE OVERLAP: the lease has run out, and processes of the job are still there; somebody else may start'
  }
  const pids = news.pids.length === 0 ? 'which may not be looked at' : `pid ${news.pids.join(', ')}`
  return (
    `processes of the job (${pids}) cannot be killed: they sleep uninterruptibly, or belong to another user; ` +
    'the lock is kept for as long as its lease is confirmed; end them'
  )
}

const overlapMessage =
  'POSSIBLE OVERLAP: processes of the job were still there when others may have started; check what both did'

function lossMessage({cause, child, possibleOverlap}: RunOutcome & {outcome: 'lost'}): string {
  const end =
    child === undefined ? 'the job was not started' : `the job was ${howEnded(cause, possibleOverlap)}`
  const advice = possibleOverlap ? overlapMessage : wayOut(cause)
  return `${describeCause(cause)} and ${end}; ${advice}`
}

/** Why a job, or a process that is kept, was ended: a sentence without its full stop. */
export function describeCause(cause: EndCause): string {
  switch (cause.kind) {
    case 'ticketGone':
      return 'it was taken away (its ticket was deleted, its lease revoked or expired)'
    case 'unconfirmed':
      return `the lease was lost (${cause.reason})`
    case 'unguarded':
      return 'the guard, which ends the job if leash cannot, was killed'
    default:
      return unreachable(cause)
  }
}

function howEnded({kind}: EndCause, possibleOverlap: boolean): string {
  if (kind === 'ticketGone') return 'killed'
  return possibleOverlap ? 'ended' : 'ended before anybody else could start'
}

function wayOut({kind}: EndCause): string {
  return kind === 'unconfirmed' ? 'find out why it was not confirmed' : 'find out who did it'
}

const leftoverMessages: Readonly<Record<LeftoverPolicy, string | undefined>> = {
  kill: 'the job left processes behind, which were ended; let it wait for its children, or see --leftovers',
  wait: undefined,
  leave: 'the job left processes behind, which go on without the lock',
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
