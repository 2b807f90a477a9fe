import {rmSync} from 'node:fs'
import {KeptProcess} from '../child/keptProcess.ts'
import type {ProcessIdentity} from '../child/processIdentity.ts'
import {type RunOutcome, notAcquired} from '../child/runUnderLock.ts'
import {describeCause} from '../child/runMessage.ts'
import {Interrupted} from '../child/signalInbox.ts'
import {LeashError} from '../core/errors.ts'
import type {HeldLock} from '../core/heldLock.ts'
import {type Acquisition, type LockPorts, type LockRequest, acquire} from '../core/lock.ts'
import type {LossCause} from '../core/session.ts'
import {bootTime} from './bootTime.ts'
import type {Handle} from './handle.ts'
import {createHandle, readHandle} from './handleFile.ts'
import {handleOf} from './holdOfHandle.ts'
import type {KeeperProcess} from './keeperProcess.ts'
import {findOwnHandle} from './ownHandle.ts'
import {proclaimHandle} from './proclaimHandle.ts'

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
  /** What to proclaim if that leads already; without: what it said stays. */
  anew?: Uint8Array | undefined
  /** Who is to renew them, for whom; without: nobody. */
  keeper?: {process: KeeperProcess; kept: ProcessIdentity}
}

/** How it ended: with a handle, or as a run does that never held the lock. */
export type HandleOutcome =
  | {outcome: 'acquired'}
  /** The caller holds some of it already, by this handle. */
  | {outcome: 'ownHandle'; path: string}
  | Extract<RunOutcome, {outcome: 'contended' | 'waitedOut' | 'interrupted'}>

/** Tells the caller of the handle at this path. */
type Publish = (handle: Handle, path: string) => void

/**
 * Takes the locks and leaves a handle of them; who has a handle of just these, kept for the same process, gets that again.
 *
 * @param publish if it throws, the locks are given back, and it rejects with that
 * @throws LeashError as `acquire`; `usage` if the process that is to be kept ends before; `unavailable` if the locks were lost
 *   before anybody got to know the handle; `config` if the handle cannot be written; `notExecutable` if the keeper cannot be
 *   started: the locks are given back before
 */
export async function acquireHandle(
  request: HandleRequest,
  ports: LockPorts,
  interrupted: AbortSignal,
  publish: Publish,
): Promise<HandleOutcome> {
  const {clock} = ports
  const startedAtMs = clock.elapsedMs()
  const waitedMs = (): number => Math.round(clock.elapsedMs() - startedAtMs)
  const kept = request.keeper && new KeptProcess(request.keeper.kept, clock)
  const givenUp = kept ? AbortSignal.any([interrupted, kept.ended]) : interrupted
  try {
    const acquisition = await findOrTake(request, ports, givenUp, publish)
    return 'outcome' in acquisition ? acquisition : notAcquired(acquisition, request.lock, waitedMs())
  } catch (error) {
    if (error instanceof Interrupted)
      return {outcome: 'interrupted', signal: error.signal, waitedMs: waitedMs()}
    if (kept?.ended.aborted && error === kept.ended.reason) throw keptEnded(request.keeper?.kept.pid)
    throw error
  } finally {
    kept?.close()
  }
}

async function findOrTake(
  request: HandleRequest,
  ports: LockPorts,
  givenUp: AbortSignal,
  publish: Publish,
): Promise<HandleOutcome | Exclude<Acquisition, {is: 'held'}>> {
  const {own} = request
  const found = own === undefined ? undefined : await unless(givenUp, findOwn(own, request, ports))
  const keeper = request.keeper?.process
  if (own !== undefined && found !== undefined) {
    keeper?.abandon()
    if (found.is === 'overlapping') return {outcome: 'ownHandle', path: own}
    publish(found.handle, own)
    return {outcome: 'acquired'}
  }
  try {
    const acquisition = await acquire(request.lock, ports, givenUp)
    if (acquisition.is === 'held') await leave(acquisition.lock, request, ports, givenUp, publish)
    else keeper?.abandon()
    return acquisition.is === 'held' ? {outcome: 'acquired'} : acquisition
  } catch (error) {
    keeper?.abandon()
    throw error
  }
}

/** As `findOwnHandle`; what it leads says what is to be said from now on. */
async function findOwn(
  path: string,
  request: HandleRequest,
  ports: LockPorts,
): ReturnType<typeof findOwnHandle> {
  const {anew, lock} = request
  const found = await findOwnHandle(path, request, ports)
  if (found?.is !== 'same' || anew === undefined) return found
  const {connectTimeoutMs} = lock
  const state = await proclaimHandle(found.handle, path, anew, {...ports, bootTime, connectTimeoutMs})
  return state.is === 'sound' ? found : undefined
}

/** Leaves the hold to a keeper, or to the commands that follow. Whatever fails gives it back. */
async function leave(
  lock: HeldLock,
  {lock: {proposal}, keeper, directory, endpoints, bootId}: HandleRequest,
  {clock}: LockPorts,
  givenUp: AbortSignal,
  publish: Publish,
): Promise<void> {
  const over = AbortSignal.any([givenUp, lock.lost])
  let path: string | undefined
  try {
    await unless(over, lock.declare(over))
    let handle = handleOf(lock, clock, {endpoints, bootId, ...(proposal && {election: true as const})})
    if (keeper === undefined) path = createHandle(directory, handle)
    else {
      path = await unless(over, keeper.process.takeOver({handle, directory}))
      handle = readHandle(path)
    }
    over.throwIfAborted()
    publish(handle, path)
    keeper?.process.go()
    lock.leave()
  } catch (error) {
    keeper?.process.abandon()
    await lock.release(!lock.lost.aborted)
    if (path !== undefined && keeper === undefined) rmSync(path, {force: true})
    if (lock.lost.aborted && error === lock.lost.reason) throw lostTooSoon(lock.lost.reason as LossCause)
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

function keptEnded(pid: number | undefined): LeashError {
  const message = `process ${pid}, which --keep names, ended before it had the lock`
  return new LeashError('usage', message, 'start it again: nothing was taken')
}

function lostTooSoon(cause: LossCause): LeashError {
  return new LeashError('unavailable', `${describeCause(cause)} before anybody could use it`, 'try again')
}
