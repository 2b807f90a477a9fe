import type {Clock} from '../core/clock.ts'
import type {HeldLock, Release} from '../core/heldLock.ts'
import {type LockPorts, type LockRequest, acquire} from '../core/lock.ts'
import type {LossCause} from '../core/session.ts'
import {type RunOutcome, notAcquired} from './runUnderLock.ts'
import {Interrupted} from './signalInbox.ts'

/** How a leadership ended under which nothing was run. */
export type OfficeOutcome =
  | Extract<RunOutcome, {outcome: 'contended' | 'waitedOut' | 'interrupted'}>
  /** A signal ended it, and it was given back. */
  | {outcome: 'resigned'; signal: NodeJS.Signals; release: Release}
  /** At the moment at which a job would get TERM, with nothing given back; or found out when it was to be given back. */
  | {outcome: 'lost'; cause: LossCause}

/**
 * Campaigns, leads until somebody tells us to end, and resigns.
 *
 * @param onElected told when the leadership is ours; if it throws, that is given back, and it rejects with that
 * @throws LeashError as `acquire`
 */
export async function holdOffice(
  request: LockRequest,
  ports: LockPorts,
  interrupted: AbortSignal,
  onElected: (lock: HeldLock) => void,
): Promise<OfficeOutcome> {
  const {clock} = ports
  const startedAtMs = clock.elapsedMs()
  try {
    const acquisition = await acquire(request, ports, interrupted)
    if (acquisition.is !== 'held') return notAcquired(acquisition, request, elapsed(clock, startedAtMs))
    return await lead(acquisition.lock, interrupted, onElected)
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error
    return {outcome: 'interrupted', signal: error.signal, waitedMs: elapsed(clock, startedAtMs)}
  }
}

async function lead(
  lock: HeldLock,
  interrupted: AbortSignal,
  onElected: (lock: HeldLock) => void,
): Promise<OfficeOutcome> {
  try {
    onElected(lock)
  } catch (error) {
    await lock.release(!lock.lost.aborted)
    throw error
  }
  lock.childStarted()
  await aborted(AbortSignal.any([lock.lost, interrupted]))
  // A loss comes first, also one that nobody has noticed yet.
  lock.look()
  if (lock.lost.aborted) {
    // Nobody sees dead what relies on it. So it has until the lease runs out, and the mark has the next one wait.
    lock.leave()
    return {outcome: 'lost', cause: lock.lost.reason as LossCause}
  }
  const release = await lock.release(true)
  // Somebody had taken it away before we gave it back.
  if (release === 'gone') return {outcome: 'lost', cause: {kind: 'ticketGone'}}
  return {outcome: 'resigned', signal: (interrupted.reason as Interrupted).signal, release}
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), {once: true})
  })
}

function elapsed(clock: Clock, sinceMs: number): number {
  return Math.round(clock.elapsedMs() - sinceMs)
}
