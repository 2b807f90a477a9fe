import type {ProcessIdentity} from '../child/processIdentity.ts'
import {LeashError} from '../core/errors.ts'
import type {LockPorts} from '../core/lock.ts'
import {type Mode, exclusive} from '../core/mode.ts'
import type {HandleRequest} from './acquireHandle.ts'
import {bootTime} from './bootTime.ts'
import {checkHandle} from './checkHandle.ts'
import type {Handle} from './handle.ts'
import {readHandle} from './handleFile.ts'
import {isAlive} from './livingKeeper.ts'

/**
 * Whether the handle at this path is living and stands for what is wanted: `same`, if for just that; `overlapping`, if for
 * some of it, or for another process: to queue would be to wait for oneself. Undefined if it does not, or there is none that
 * can be read.
 */
export async function findOwnHandle(
  path: string,
  {lock: {locks, proposal, connectTimeoutMs}, endpoints, keeper}: HandleRequest,
  {store, clock}: LockPorts,
): Promise<{is: 'same' | 'overlapping'; handle: Handle} | undefined> {
  const handle = readIfUsable(path)
  if (handle === undefined || !endpoints.some((url) => handle.endpoints.includes(url))) return undefined
  const held = new Set(handle.locks.map(({queuePrefix}) => queuePrefix))
  const common = locks.filter(({queuePrefix}) => held.has(queuePrefix))
  if (common.length === 0) return undefined
  const check = await checkHandle(handle, path, 0, {store, clock, bootTime, connectTimeoutMs})
  if (!check.held) return undefined
  const isSame =
    common.length === locks.length &&
    locks.length === held.size &&
    isInMode(handle, locks[0].mode) &&
    (handle.election === true) === (proposal !== undefined) &&
    isKeptFor(handle, keeper?.kept)
  return {is: isSame ? 'same' : 'overlapping', handle}
}

function readIfUsable(path: string): Handle | undefined {
  try {
    return readHandle(path)
  } catch (error) {
    // What cannot be used to hold a lock does not keep anybody from taking one.
    if (error instanceof LeashError) return undefined
    throw error
  }
}

/** All are held in one mode. */
function isInMode({locks: [{mode: held = exclusive}]}: Handle, wanted: Mode = exclusive): boolean {
  if (held.kind === 'slots' && wanted.kind === 'slots') return held.slots === wanted.slots
  return held.kind === wanted.kind
}

function isKeptFor({keeper}: Handle, kept: ProcessIdentity | undefined): boolean {
  if (keeper === undefined || kept === undefined) return keeper === kept
  return keeper.keeps.pid === kept.pid && keeper.keeps.startTicks === kept.startTicks && isAlive(keeper)
}
