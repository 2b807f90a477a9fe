import type {ChildProcess} from 'node:child_process'
import type {Clock} from '../core/clock.ts'
import type {HeldLock} from '../core/heldLock.ts'
import type {LossCause} from '../core/session.ts'
import {type GuardedJob, hasEnded} from './guardedJob.ts'
import {
  type ChildEnd,
  type EndCause,
  type LeftoverPolicy,
  type Supervision,
  type SupervisionEffect,
  type SupervisionEvent,
  supervise,
} from './supervision.ts'

/** How to end a child's tree. */
export interface Ending {
  /** The gentle signal at a loss, and for processes that the child leaves behind. */
  stopSignal: NodeJS.Signals
  /** What becomes of those. */
  leftovers: LeftoverPolicy
}

/** What a supervisor tells while a tree cannot be ended. */
export type TreeNews =
  /** It was killed, and these processes are still there. */
  | {kind: 'unkillable'; pids: readonly number[]}
  /** The lease has run out, and the tree is not empty: somebody else may have started. */
  | {kind: 'overlapPossible'}

/** What the supervisor works with. */
export interface Supervising {
  clock: Clock
  lock: HeldLock
  tell: (news: TreeNews) => void
  /** Called once, when the child is started. */
  onStarted: (forward: (signal: NodeJS.Signals) => void) => void
}

/** How a tree ended; it was seen empty, or what is left of it is to go on. */
export interface TreeEnd {
  child: ChildEnd
  /** Why the tree was ended, if it did not end by itself. */
  cause?: EndCause
  /** The child left processes behind. */
  leftovers: boolean
  /** We saw the tree alive when somebody else may have started. */
  overlapSeen: boolean
}

/** How soon an empty tree is noticed: after 1 ms, doubled up to this for a tree that takes its time. */
const longestPollMs = 50
/** The same for a tree that is killed, and may fork meanwhile. */
const longestKillingPollMs = 10
/** The same for a tree that may take as long as it likes. */
const longestLingeringPollMs = 500
/** A tree that outlives KILL for so long sleeps uninterruptibly, or is another user's. */
const unkillableAfterMs = 1000
/**
 * How long a tree may live after the ticket was seen gone until we speak of an overlap: what the settling time of the next
 * holder (500 ms) allows for, without the delay of the watch.
 */
const goneToOverlapMs = 300

/**
 * Lets the guarded job become the command, and resolves when its tree was seen empty, however it came to its end. The lock
 * is held, and its guard is armed.
 *
 * @param variables for the command's environment
 */
export function superviseChild(
  job: GuardedJob,
  variables: Readonly<Record<string, string | undefined>>,
  ending: Ending,
  parts: Supervising,
): Promise<TreeEnd> {
  return new Promise((resolve) => {
    if (watchOver(job, ending, parts, resolve)) job.go(variables)
  })
}

/** @returns false if the end has begun already: then nothing may be started */
function watchOver(
  job: GuardedJob,
  {stopSignal, leftovers: policy}: Ending,
  {clock, lock, tell, onStarted}: Supervising,
  onEmpty: (end: TreeEnd) => void,
): boolean {
  const {process: child, containment, guard} = job
  const {lost, gone, graceMs} = lock
  let now: Supervision = {state: 'running'}
  let leftovers = false
  let overlapSeen = false
  let unkillableAtMs = Infinity
  let goneAtMs = Infinity
  let cancelPoll = (): void => {}
  /** From then on the job's numbers may be somebody else's. */
  const isOver = (): boolean => hasEnded(child) && containment.isEmpty()

  const on = (event: SupervisionEvent, nextPollMs = 1): void => {
    const {supervision, effect} = supervise(now, event)
    now = supervision
    if (effect !== undefined && !isOver()) perform(effect)
    cancelPoll()
    if (now.state === 'empty') finish(now)
    else if (now.state !== 'running') cancelPoll = clock.schedule(nextPollMs, () => poll(nextPollMs))
  }
  const perform = (effect: SupervisionEffect): void => {
    // Who is still alive after a suspend dies of the signal too soon to be seen afterwards.
    speak()
    if (effect === 'terminate') return containment.signal(stopSignal, 'tree')
    unkillableAtMs = clock.elapsedMs() + unkillableAfterMs
    containment.kill()
    job.endSoon(lock)
  }
  const poll = (delayMs: number): void => {
    // Until Node has reaped the child, its end is not known; the child's number is not free before either.
    if (isOver()) return on({type: 'treeEmpty'})
    if (now.state === 'killing') containment.kill()
    speak()
    on({type: 'clock', nowMs: clock.elapsedMs()}, Math.min(delayMs * 2, longestPoll()))
  }
  const longestPoll = (): number => {
    if (now.state === 'lingering') return longestLingeringPollMs
    // What cannot be killed at once is not chased any more.
    return now.state === 'killing' && unkillableAtMs !== Infinity ? longestKillingPollMs : longestPollMs
  }
  const speak = (): void => {
    const nowMs = clock.elapsedMs()
    if (nowMs >= unkillableAtMs && containment.isOccupied()) {
      unkillableAtMs = Infinity
      tell({kind: 'unkillable', pids: containment.pids()})
    }
    if (overlapSeen || nowMs <= Math.min(lock.entitledUntilMs, goneAtMs + goneToOverlapMs)) return
    // A child that is dead and not yet reaped overlaps with nobody.
    overlapSeen = containment.isOccupied()
    if (overlapSeen) tell({kind: 'overlapPossible'})
  }
  const onLost = (): void => {
    const cause = lost.reason as LossCause
    if (cause.kind === 'ticketGone') return onGone()
    // From TERM on the guard waits for the very moment of KILL.
    void job.extend(lock)
    on({type: 'lost', cause, nowMs: clock.elapsedMs()})
  }
  const onGone = (): void => {
    goneAtMs = Math.min(goneAtMs, clock.elapsedMs())
    on({type: 'ticketGone'})
  }
  const onGuardDied = (): void => on({type: 'guardDied', nowMs: clock.elapsedMs(), graceMs})
  const onChildEnded = (): void => {
    // After a freeze it is the guard that has ended it, and the loss comes first.
    lock.look()
    const treeEmpty = containment.isEmpty()
    leftovers = now.state === 'running' && !treeEmpty && containment.isOccupied()
    const end = {end: endOf(child), treeEmpty, leftovers: policy}
    on({type: 'childEnded', ...end, nowMs: clock.elapsedMs(), graceMs})
  }
  /** An exception that nobody caught does not leave the job without a supervisor. */
  const onExit = (): void => {
    if (!isOver()) containment.kill()
  }
  const finish = ({cause}: Supervision & {state: 'empty'}): void => {
    lost.removeEventListener('abort', onLost)
    gone.removeEventListener('abort', onGone)
    guard.died.removeEventListener('abort', onGuardDied)
    process.off('exit', onExit)
    job.treeEmpty()
    onEmpty({child: endOf(child), ...(cause && {cause}), leftovers, overlapSeen})
  }

  process.prependOnceListener('exit', onExit)
  child.once('exit', onChildEnded)
  lost.addEventListener('abort', onLost, {once: true})
  gone.addEventListener('abort', onGone, {once: true})
  guard.died.addEventListener('abort', onGuardDied, {once: true})
  onStarted((signal) => {
    if (now.state !== 'empty' && !isOver()) containment.signal(signal, 'group')
  })
  if (gone.aborted) onGone()
  else if (lost.aborted) onLost()
  else if (guard.died.aborted) onGuardDied()
  if (hasEnded(child)) onChildEnded()
  return now.state === 'running'
}

function endOf({exitCode, signalCode}: ChildProcess): ChildEnd {
  return signalCode === null ? {code: exitCode ?? 0} : {signal: signalCode}
}
