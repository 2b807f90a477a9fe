import {LeashError} from '../core/errors.ts'
import {withLimit} from '../core/limit.ts'
import type {Handle} from './handle.ts'
import {updateHandle} from './handleFile.ts'
import {holdOf} from './holdOfHandle.ts'
import type {HandlePorts, HoldState} from './releaseHandle.ts'
import {describeEnd} from './renewHandle.ts'

const outOfTime = Symbol('out of time')

/**
 * Puts another value into the ticket of an election that a handle leads.
 *
 * @throws LeashError `usage` for the handle of a lock, whose tickets say who holds it; `unavailable` if etcd does not answer:
 *   the value may be there or not
 */
export async function proclaimHandle(
  handle: Handle,
  path: string,
  value: Uint8Array,
  {store, clock, bootTime, connectTimeoutMs}: HandlePorts,
): Promise<HoldState> {
  if (!handle.election)
    throw new LeashError(
      'usage',
      'this handle is of a lock, and nobody observes what it says',
      'lead an election: leash campaign NAME --keep $$',
    )
  if (handle.ended !== undefined) return {is: 'over', reason: describeEnd(handle.ended)}
  if (handle.bootId !== bootTime().bootId)
    return {is: 'over', reason: 'the machine was started anew, or it is another one'}
  const [{ticket}] = holdOf(handle, clock).places
  const limit = {atMs: clock.elapsedMs() + connectTimeoutMs, reason: outOfTime}
  try {
    const isThere = await withLimit(clock, limit, undefined, (signal) =>
      store.proclaim(ticket, value, signal),
    )
    if (isThere) return {is: 'sound'}
  } catch (error) {
    if (error !== outOfTime) throw error
    const message = `${store.server.name} does not answer: ${store.lastFailure}`
    throw new LeashError('unavailable', message, 'try again: to repeat it is harmless')
  }
  const reason = 'the ticket is gone (it was deleted, or its lease revoked or expired)'
  if (handle.keeper === undefined) updateHandle(path, {...handle, ended: {how: 'lost', reason}})
  return {is: 'over', reason}
}
