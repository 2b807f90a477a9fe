import {confirm} from '../core/confirm.ts'
import {LeashError} from '../core/errors.ts'
import type {Handle} from './handle.ts'
import {updateHandle} from './handleFile.ts'
import {holdOf} from './holdOfHandle.ts'
import {askLivingKeeper} from './livingKeeper.ts'
import type {HandlePorts, HoldState} from './releaseHandle.ts'

/**
 * Renews the lease of a handle now; has its keeper do so if there is one.
 *
 * @throws LeashError `unavailable` if that is not confirmed in time: the lock may be held still; `config` if the handle cannot
 *   be written
 */
export async function renewHandle(handle: Handle, path: string, ports: HandlePorts): Promise<HoldState> {
  if (handle.ended !== undefined) return {is: 'over', reason: describeEnd(handle.ended)}
  const {bootId} = ports.bootTime()
  if (handle.bootId !== bootId)
    return {is: 'over', reason: 'the machine was started anew, or it is another one'}
  const limitMs = ports.connectTimeoutMs + answerMs
  const asked = await askLivingKeeper(handle, path, 'renew', {bootId, limitMs})
  if (asked === 'confirmed') return {is: 'sound'}
  if (asked?.startsWith('lost')) return {is: 'over', reason: asked.slice('lost '.length)}
  if (asked !== undefined) {
    const reason = asked.slice('unconfirmed '.length)
    const message = `the lease has not been confirmed: ${reason}`
    throw new LeashError('unavailable', message, ports.store.server.wayOut)
  }
  if (handle.keeper !== undefined)
    return {is: 'over', reason: 'its keeper has died, and what it kept is being ended'}
  const [first, ...others] = holdOf(handle, ports.clock).places.map(({ticket}) => ticket)
  if (first === undefined) throw new Error('a handle without a lock')
  const confirmation = await confirm([first, ...others], ports, ports.connectTimeoutMs)
  if (confirmation.is === 'ticketGone') {
    const reason = 'the ticket is gone (it was deleted, or its lease revoked or expired)'
    updateHandle(path, {...handle, ended: {how: 'lost', reason}})
    return {is: 'over', reason}
  }
  const {sentAtMs, ttlMs} = confirmation
  updateHandle(path, {...handle, ttlMs, sentAtBootMs: ports.clock.bootMsAt(sentAtMs)})
  return {is: 'sound'}
}

/** How much longer than for etcd we wait for a keeper. */
const answerMs = 1000

/** Why a handle is of no use any more: a clause. */
export function describeEnd({how, reason}: NonNullable<Handle['ended']>): string {
  switch (how) {
    case 'released':
      return 'it was given back'
    case 'left':
      return 'the process that it was kept for has ended'
    case 'lost':
      return reason ?? 'the lease was lost'
  }
}
