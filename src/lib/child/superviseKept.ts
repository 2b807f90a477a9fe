import type {Clock} from '../core/clock.ts'
import type {HeldLock} from '../core/heldLock.ts'
import type {LossCause} from '../core/session.ts'
import type {KeptGuard} from './keptGuard.ts'
import type {KeptProcess} from './keptProcess.ts'
import {type EndCause, type Supervision, type SupervisionEvent, supervise} from './supervision.ts'

/** What a keeper works with. */
export interface Keeping {
  clock: Clock
  kept: KeptProcess
  /** It is armed with the lock. */
  guard: KeptGuard
  lock: HeldLock
  /** The gentle signal. */
  stopSignal: NodeJS.Signals
  /** Aborted when somebody gives the lock back. */
  released: AbortSignal
}

/** How keeping a process came to its end. */
export type KeptEnd =
  /** The lock is given back: nothing was ended, or not to the end. */
  | {is: 'released'}
  /** The process has ended by itself. What it has started may go on: the lease is to run out. */
  | {is: 'ended'}
  /** It was ended, with all of its descendants that were seen; none of these is left. */
  | {is: 'lost'; cause: EndCause}

/** How soon it is noticed that nothing is left: after 1 ms, doubled up to this. */
const longestPollMs = 50
/** The same for who has outlived KILL for so long: they sleep uninterruptibly, or are another user's. */
const unkillableAfterMs = 1000
const longestUnkillablePollMs = 500
/** How long the gentle signal waits for the guard: awk looks at some hundred processes in 10 ms. A frozen guard never answers. */
const longestSeeMs = 100

/**
 * Watches over a process that is kept, until it has ended, somebody gives the lock back, or it was ended because the lease
 * was lost: the gentle signal and then KILL on the timeline; KILL at once when the ticket is gone. By then its guard is told
 * the same at each step. Before the gentle signal it looks who is there: the children of those who end by it have no parent any
 * more by which it would find them, if we are killed or frozen before KILL. To give the lock back calls off what is still to
 * come: who does it says that its work is done.
 */
export function superviseKept(parts: Keeping): Promise<KeptEnd> {
  return new Promise((resolve) => watchOver(parts, resolve))
}

function watchOver(
  {clock, kept, guard, lock, stopSignal, released}: Keeping,
  onEnd: (end: KeptEnd) => void,
): void {
  const {lost, gone, graceMs} = lock
  const over = new AbortController()
  let now: Supervision = {state: 'running'}
  let killedAtMs = Infinity
  let cancelPoll = (): void => {}
  let cancelTell = (): void => {}

  const on = (event: SupervisionEvent, nextPollMs = 1): void => {
    const {supervision, effect} = supervise(now, event)
    now = supervision
    if (effect === 'terminate') terminate()
    if (effect === 'kill') kill()
    cancelPoll()
    if (now.state === 'empty') finish({is: 'lost', cause: now.cause ?? {kind: 'ticketGone'}})
    else if (now.state !== 'running') cancelPoll = clock.schedule(nextPollMs, () => poll(nextPollMs))
  }
  const terminate = (): void => {
    let isTold = false
    const tell = (): void => {
      if (!isTold && !over.signal.aborted && now.state === 'stopping') kept.tell(stopSignal)
      isTold = true
    }
    cancelTell = clock.schedule(longestSeeMs, tell)
    void guard.see().then(tell)
    // From now on the guard waits for the very moment of KILL.
    guard.extend(lock)
  }
  const kill = (): void => {
    cancelTell()
    killedAtMs = Math.min(killedAtMs, clock.elapsedMs())
    kept.kill()
    guard.endSoon(lock)
  }
  const poll = (delayMs: number): void => {
    if (kept.isEmpty()) return on({type: 'treeEmpty'})
    if (now.state === 'killing') kept.kill()
    const nowMs = clock.elapsedMs()
    const longestMs = nowMs - killedAtMs < unkillableAfterMs ? longestPollMs : longestUnkillablePollMs
    on({type: 'clock', nowMs}, Math.min(delayMs * 2, longestMs))
  }
  const finish = (end: KeptEnd): void => {
    cancelPoll()
    cancelTell()
    over.abort()
    kept.close()
    guard.standDown()
    onEnd(end)
  }
  const onLost = (): void => {
    const cause = lost.reason as LossCause
    if (cause.kind === 'ticketGone') return onGone()
    on({type: 'lost', cause, nowMs: clock.elapsedMs()})
  }
  const onGone = (): void => on({type: 'ticketGone'})
  const onUnguarded = (): void => on({type: 'guardDied', nowMs: clock.elapsedMs(), graceMs})
  const onEnded = (): void => {
    // After a freeze it is the guard that has ended it, and the loss comes first.
    lock.look()
    if (now.state === 'running') finish({is: 'ended'})
  }

  const watched: [AbortSignal, () => void][] = [
    [released, () => finish({is: 'released'})],
    [gone, onGone],
    [lost, onLost],
    [guard.failed, onUnguarded],
    [kept.ended, onEnded],
  ]
  for (const [signal, onAbort] of watched) {
    if (over.signal.aborted) return
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, {once: true, signal: over.signal})
  }
}
