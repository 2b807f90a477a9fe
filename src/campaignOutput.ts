import {writeSync} from 'node:fs'
import {LeashError} from './lib/core/errors.ts'
import type {HeldLock} from './lib/core/heldLock.ts'
import {fencingToken, leaseHex} from './lib/core/identifiers.ts'

const stdout = 1

/**
 * Says that we lead: `elected FENCE KEY`, or an object in JSON.
 *
 * @throws LeashError `usage` if nobody can read it
 */
export function printElected(lock: HeldLock, json: boolean): void {
  const {name, lease} = lock
  const [{ticket}] = lock.places
  const fence = fencingToken(ticket.createRevision).toString()
  const {key} = ticket
  const text = json
    ? JSON.stringify({event: 'elected', election: name, fence, key, lease: leaseHex(lease)})
    : `elected ${fence} ${key}`
  try {
    writeSync(stdout, `${text}\n`)
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? String(cause)
    const message = `it cannot be printed that we were elected (${reason}), so we resigned`
    throw new LeashError('usage', message, 'let somebody read it', {cause})
  }
}
