import {withLimit} from '../core/limit.ts'
import {LeashError} from '../core/errors.ts'
import {outOfReach} from '../core/outOfReach.ts'
import type {Handle} from './handle.ts'
import {readHandle} from './handleFile.ts'
import {goodForMs, holdOf, longestGoodForMs} from './holdOfHandle.ts'
import {askLivingKeeper, isAlive} from './livingKeeper.ts'
import type {HandlePorts} from './releaseHandle.ts'
import {describeEnd} from './renewHandle.ts'

/** What a check has found: how much longer the locks are ours for sure, or why they are not. */
export type CheckResult = {held: true; leftMs: number} | {held: false; reason: string}

const outOfTime = Symbol('out of time')

/**
 * Asks etcd whether the tickets are there, and our own clock for how long they are ours without another renewal; if that is
 * not long enough, a keeper is asked for one.
 *
 * @param forMs for how long they have to be
 * @throws LeashError `unavailable` if etcd does not answer, or the keeper; `usage` if they can never be ours for so long
 */
export async function checkHandle(
  handle: Handle,
  path: string,
  forMs: number,
  ports: HandlePorts,
): Promise<CheckResult> {
  const longestMs = longestGoodForMs(handle)
  if (forMs > longestMs) {
    const message = `--for ${seconds(forMs)} is more than the ${seconds(longestMs)} that a renewal of this lease is good for`
    throw new LeashError('usage', message, 'ask for less, or take the lock with a longer --ttl')
  }
  if (handle.ended !== undefined) return {held: false, reason: describeEnd(handle.ended)}
  if (!(await areTicketsThere(handle, ports)))
    return {held: false, reason: 'the ticket is gone (it was deleted, or its lease revoked or expired)'}
  const {bootId} = ports.bootTime()
  const keeper = handle.bootId === bootId ? handle.keeper : undefined
  if (keeper !== undefined && !isAlive(keeper))
    return {held: false, reason: 'its keeper has died, and what it kept is being ended'}
  let leftMs = goodForMs(handle, ports.bootTime())
  if (keeper !== undefined && leftMs < forMs) {
    // Its next renewal may be far away: a keeper that is well can say more.
    await askLivingKeeper(handle, path, 'renew', {bootId, limitMs: ports.connectTimeoutMs})
    leftMs = goodForMs(readHandle(path), ports.bootTime())
  }
  if (leftMs <= 0) return {held: false, reason: 'no renewal was confirmed for too long'}
  if (leftMs < forMs) return {held: false, reason: `it is good for ${seconds(leftMs)} only`}
  return {held: true, leftMs: Math.floor(leftMs)}
}

async function areTicketsThere(
  handle: Handle,
  {store, clock, connectTimeoutMs}: HandlePorts,
): Promise<boolean> {
  const {places} = holdOf(handle, clock)
  try {
    const limit = {atMs: clock.elapsedMs() + connectTimeoutMs, reason: outOfTime}
    const views = await withLimit(clock, limit, undefined, (signal) =>
      Promise.all(places.map(({ticket, keys}) => store.look(ticket, keys, signal))),
    )
    return views.every(({own}) => own !== undefined)
  } catch (error) {
    if (error !== outOfTime) throw error
    throw outOfReach(store)
  }
}

function seconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(1))} s`
}
