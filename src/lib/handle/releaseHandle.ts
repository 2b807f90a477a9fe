import {dismissGuard} from '../child/guard.ts'
import type {Clock} from '../core/clock.ts'
import {LeashError} from '../core/errors.ts'
import {type Release, endHold, endingOf} from '../core/heldLock.ts'
import type {LeaseStore} from '../core/ports.ts'
import type {BootTime} from './bootTime.ts'
import type {Handle, HandleEnd} from './handle.ts'
import {updateHandle} from './handleFile.ts'
import {entitledForMs, holdOf} from './holdOfHandle.ts'
import {askLivingKeeper} from './livingKeeper.ts'

/** What later commands work with. */
export interface HandlePorts {
  store: LeaseStore
  clock: Clock
  bootTime: () => BootTime
  /** How long etcd may be out of reach. */
  connectTimeoutMs: number
}

/** What has become of a hold: it lasts, or lasted until it was given back; or it had ended before. */
export type HoldState = {is: 'sound'} | {is: 'over'; reason: string}

/** A keeper answers when etcd has, for which it takes as long as we would; and then it ends. */
const keeperLimitMs = 8000

/**
 * Gives the locks of a handle back; the keeper does it if there is one. Only our own tickets are deleted, and to repeat it is
 * harmless.
 *
 * @throws LeashError `unavailable` if etcd does not answer, or a keeper that is alive: then it may be tried again
 */
export async function releaseHandle(handle: Handle, path: string, ports: HandlePorts): Promise<HoldState> {
  const {how} = handle.ended ?? {}
  if (how === 'released') return {is: 'sound'}
  const {bootId} = ports.bootTime()
  const asked = await askLivingKeeper(handle, path, 'release', {bootId, limitMs: keeperLimitMs})
  if (asked?.startsWith('lost')) return {is: 'over', reason: asked.slice('lost '.length)}
  // After an unclean end a lock-delay is to keep others out.
  const isLeftToRun = handle.lockDelayMs > 0 && endedBefore(handle, bootId) !== undefined
  const release =
    (asked as Release | undefined) ??
    (isLeftToRun
      ? 'leftToRun'
      : await endHold(ports.store, ports.clock, endingOf(holdOf(handle, ports.clock), ports.clock)))
  if (release === 'failed') {
    const {server, lastFailure} = ports.store
    const message = `${server.name} does not answer: ${lastFailure}`
    throw new LeashError('unavailable', message, 'try again, or leave the lock to the end of its lease')
  }
  // Who gives the locks back says that the work is done: nothing is ended any more.
  if (asked === undefined && handle.keeper !== undefined) dismissGuard(handle.keeper.guard)
  const state = stateAfter(release, handle, ports.bootTime())
  const ended: HandleEnd = state.is === 'sound' ? {how: 'released'} : {how: 'lost', reason: state.reason}
  if (asked === undefined)
    noteEnd(path, {...handle, ended: handle.ended?.how === 'lost' ? handle.ended : ended})
  return state
}

/**
 * Gives the leadership of a handle back.
 *
 * @throws LeashError `usage` for the handle of a lock; else as `releaseHandle`
 */
export async function resignHandle(handle: Handle, path: string, ports: HandlePorts): Promise<HoldState> {
  if (!handle.election)
    throw new LeashError(
      'usage',
      'this handle is of a lock, from which nobody can resign',
      'give it back: leash release',
    )
  return releaseHandle(handle, path, ports)
}

function stateAfter(release: Release, handle: Handle, now: BootTime): HoldState {
  const reason = endedBefore(handle, now.bootId)
  if (reason !== undefined) return {is: 'over', reason}
  // The answer to an earlier try was lost. As long as nobody else could remove the ticket, it was that try.
  if (release === 'unknown' && entitledForMs(handle, now) > 0) return {is: 'sound'}
  if (release === 'removed' || release === 'leftToRun') return {is: 'sound'}
  return {is: 'over', reason: 'the ticket was gone (it was deleted, or its lease revoked or expired)'}
}

/** Why it is known without asking etcd that it was not held to the end; undefined if it is not. */
function endedBefore({ended, bootId}: Handle, presentBootId: string): string | undefined {
  if (ended?.how === 'lost') return ended.reason ?? 'the lease was lost'
  return bootId === presentBootId ? undefined : 'the machine was started anew, or it is another one'
}

function noteEnd(path: string, handle: Handle): void {
  try {
    updateHandle(path, handle)
  } catch {
    // Somebody has removed it: nobody will ask again.
  }
}
