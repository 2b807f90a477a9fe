import {status} from '@grpc/grpc-js'
import type {IWatchRequest, IWatchResponse} from 'etcd3'
import type {Clock} from '../core/clock.ts'
import type {Revision} from '../core/identifiers.ts'
import type {CallPolicy} from './callPolicy.ts'
import {toError} from './failure.ts'

/** A broken watch is opened again after this, doubled each time that it does not stand: nothing is missed meanwhile, but it is what wakes us. */
const firstPauseMs = 100
const longestPauseMs = 1000

/**
 * Waits for a key's deletion above a revision. A broken stream is opened again on the next member from the last event's
 * revision on; only a compaction, which may have swallowed the event, ends in `unknown`.
 *
 * Only a DELETE above `afterRevision` counts: etcd 3.5.16 can deliver older ones.
 */
export async function deletionWatch(
  key: string,
  afterRevision: Revision,
  {policy, clock}: {policy: CallPolicy; clock: Clock},
  signal: AbortSignal,
): Promise<'deleted' | 'unknown'> {
  let seen = afterRevision
  let end: 'deleted' | 'unknown' | undefined
  let pauseMs = firstPauseMs
  const onAnswer = (answer: IWatchResponse): boolean => {
    if (answer.canceled) {
      if (BigInt(answer.compact_revision) === 0n) throw cancelled(answer.cancel_reason)
      end = 'unknown'
    } else {
      pauseMs = firstPauseMs
    }
    for (const event of answer.events) {
      const revision = BigInt(event.kv.mod_revision)
      if (revision > seen) seen = revision
      if (event.type === 'Delete' && revision > afterRevision) end = 'deleted'
    }
    return end !== undefined
  }
  for (;;) {
    const [member] = policy.members
    const create_request = {
      key: Buffer.from(key, 'utf8'),
      start_revision: (seen + 1n).toString(),
      filters: [],
    }
    const request: IWatchRequest = {create_request}
    try {
      await member.stream('Watch', 'watch', request, onAnswer, signal)
      if (end !== undefined) return end
    } catch (error) {
      signal.throwIfAborted()
      const failure = policy.noteFailure(error, member)
      if (failure.is !== 'transient') throw toError(failure)
    }
    await clock.sleepUntil(clock.elapsedMs() + pauseMs, signal)
    pauseMs = Math.min(pauseMs * 2, longestPauseMs)
  }
}

/** etcd refuses a watch in an answer, and says why in words only: `rpc error: code = PermissionDenied desc = ...`. */
function cancelled(reason: string): Error {
  const code = /permission *denied/i.test(reason) ? status.PERMISSION_DENIED : status.UNAVAILABLE
  return Object.assign(new Error(`watch cancelled: ${reason}`), {code, details: reason})
}
