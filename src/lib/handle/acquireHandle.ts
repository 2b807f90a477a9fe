import {rmSync} from 'node:fs'
import {type RunOutcome, notAcquired} from '../child/runUnderLock.ts'
import {describeCause} from '../child/runMessage.ts'
import {Interrupted} from '../child/signalInbox.ts'
import {LeashError} from '../core/errors.ts'
import type {HeldLock} from '../core/heldLock.ts'
import {type LockPorts, type LockRequest, acquire} from '../core/lock.ts'
import type {LossCause} from '../core/session.ts'
import type {Handle} from './handle.ts'
import {createHandle} from './handleFile.ts'
import {handleOf} from './holdOfHandle.ts'
import type {KeepOrder, KeeperProcess} from './keeperProcess.ts'
import {findOwnHandle} from './ownHandle.ts'

/** Locks to take for the commands that follow. */
export interface HandleRequest {
  lock: LockRequest
  /** Where the handle's file is to be. */
  directory: string
  /** Where the locks are taken: URLs. */
  endpoints: readonly string[]
  bootId: string
  /** A handle that the caller may have already. */
  own?: string | undefined
  /** Who is to renew them, for whom; without: nobody. */
  keeper?: Pick<KeepOrder, 'kept' | 'stopSignal' | 'environment'> & {process: KeeperProcess}
}

/** How it ended: with a handle, or as a run does that never held the lock. */
export type HandleOutcome =
  | {outcome: 'acquired'}
  /** The caller holds some of it already, by this handle. */
  | {outcome: 'ownHandle'; path: string}
  | Extract<RunOutcome, {outcome: 'contended' | 'waitedOut' | 'interrupted'}>

/**
 * Takes the locks and leaves a handle of them; who has a handle of just these, kept for the same process, gets that again.
 *
 * @param publish tells the caller of the handle at this path. If it throws, the locks are given back, and it rejects with that
 * @throws LeashError as `acquire`; `unavailable` if the locks were lost before anybody got to know the handle; `config` if the
 *   handle cannot be written; `notExecutable` if the keeper cannot be started: the locks are given back before
 */
export async function acquireHandle(
  request: HandleRequest,
  ports: LockPorts,
  interrupted: AbortSignal,
  publish: (handle: Handle, path: string) => void,
): Promise<HandleOutcome> {
  const {clock} = ports
  const startedAtMs = clock.elapsedMs()
  const waitedMs = (): number => Math.round(clock.elapsedMs() - startedAtMs)
  const {own} = request
  const found = own === undefined ? undefined : await findOwnHandle(own, request, ports)
  const {process: keeper} = request.keeper ?? {}
  if (own !== undefined && found !== undefined) {
    keeper?.abandon()
    if (found.is === 'overlapping') return {outcome: 'ownHandle', path: own}
    publish(found.handle, own)
    return {outcome: 'acquired'}
  }
  try {
    const acquisition = await acquire(request.lock, ports, interrupted)
    if (acquisition.is !== 'held') {
      keeper?.abandon()
      return notAcquired(acquisition, request.lock, waitedMs())
    }
    await leave(acquisition.lock, request, ports, interrupted, publish)
    return {outcome: 'acquired'}
  } catch (error) {
    keeper?.abandon()
    if (error instanceof Interrupted)
      return {outcome: 'interrupted', signal: error.signal, waitedMs: waitedMs()}
    throw error
  }
}

/** Leaves the hold to a keeper, or to the commands that follow. Whatever fails gives it back. */
async function leave(
  lock: HeldLock,
  {keeper, directory, endpoints, bootId, lock: {connectTimeoutMs: limitMs}}: HandleRequest,
  {clock}: LockPorts,
  interrupted: AbortSignal,
  publish: (handle: Handle, path: string) => void,
): Promise<void> {
  let path: string | undefined
  try {
    await unless(interrupted, lock.declare(interrupted))
    const handle = handleOf(lock, clock, {endpoints, bootId})
    if (keeper === undefined) path = createHandle(directory, handle)
    else {
      const {process, ...order} = keeper
      path = await unless(interrupted, process.takeOver({...order, handle, directory, limitMs}))
    }
    if (lock.lost.aborted) throw lostTooSoon(lock.lost.reason as LossCause)
    publish(handle, path)
    keeper?.process.go()
    lock.leave()
  } catch (error) {
    keeper?.process.abandon()
    await lock.release(!lock.lost.aborted)
    if (path !== undefined && keeper === undefined) rmSync(path, {force: true})
    throw error
  }
}

/** Rejects with the reason of `signal` when that is aborted before. */
async function unless<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const over = new AbortController()
  const aborted = new Promise<never>((_, reject) => {
    const onAbort = (): void => reject(signal.reason as Error)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, {once: true, signal: over.signal})
  })
  return Promise.race([work, aborted]).finally(() => over.abort())
}

function lostTooSoon(cause: LossCause): LeashError {
  return new LeashError('unavailable', `${describeCause(cause)} before anybody could use it`, 'try again')
}
