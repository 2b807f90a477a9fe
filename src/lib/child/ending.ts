import {LeashError} from '../core/errors.ts'
import type {LeaseId} from '../core/identifiers.ts'
import type {Dequeue} from '../core/ports.ts'

/** What is left to do at etcd for a hold, as one word of a command line. It lets nobody in: names and numbers only. */
export function encodeEnding({ticket: {key, lease, createRevision}, markKey}: Dequeue): string {
  const text = JSON.stringify([key, lease.toString(), createRevision.toString(), markKey ?? null])
  return Buffer.from(text).toString('base64url')
}

/**
 * Reads it back.
 *
 * @throws LeashError `usage` for anything else
 */
export function decodeEnding(word: string): Dequeue {
  try {
    const [key, lease, createRevision, markKey] = JSON.parse(Buffer.from(word, 'base64url').toString()) as (
      string | null
    )[]
    if (!key || !lease || !createRevision) throw new Error('something is missing')
    const ticket = {key, lease: BigInt(lease) as LeaseId, createRevision: BigInt(createRevision)}
    return {ticket, ...(markKey && {markKey})}
  } catch (cause) {
    throw new LeashError('usage', `${JSON.stringify(word)} is no ticket`, 'leave this command to leash', {
      cause,
    })
  }
}
