import {LeashError} from '../core/errors.ts'
import type {Ending} from '../core/heldLock.ts'
import type {LeaseId} from '../core/identifiers.ts'
import type {Dequeue} from '../core/ports.ts'

/**
 * How many marks of others the word names, in all. Linux takes 128 KiB for a word, of which the longest names of as many locks
 * as there may be take 45; 20 of the longest marks take 20.
 */
const mostSettledNamed = 20

/** What is left to do at etcd for a hold, as one word of a command line. It lets nobody in: names and numbers only. */
export function encodeEnding(ending: Ending): string {
  let left = mostSettledNamed
  const holds = ending.map(({ticket, markKey, settled = []}) => {
    const named = settled.slice(0, left)
    left -= named.length
    return [ticket.key, ticket.createRevision.toString(), markKey ?? null, ...named]
  })
  return Buffer.from(JSON.stringify([ending[0].ticket.lease.toString(), ...holds])).toString('base64url')
}

/**
 * Reads it back.
 *
 * @throws LeashError `usage` for anything else
 */
export function decodeEnding(word: string): Ending {
  try {
    const [leaseText, ...holds] = JSON.parse(Buffer.from(word, 'base64url').toString()) as [
      string,
      ...(string | null)[][],
    ]
    const lease = BigInt(leaseText) as LeaseId
    const [first, ...others] = holds.map(([key, createRevision, markKey, ...marks]): Dequeue => {
      if (!key || !createRevision) throw new Error('something is missing')
      const ticket = {key, lease, createRevision: BigInt(createRevision)}
      const settled = marks.filter((mark) => mark !== null)
      return {ticket, ...(markKey && {markKey}), ...(settled.length > 0 && {settled})}
    })
    if (first === undefined) throw new Error('there is none')
    return [first, ...others]
  } catch (cause) {
    throw new LeashError('usage', `${JSON.stringify(word)} is no ticket`, 'leave this command to leash', {
      cause,
    })
  }
}
