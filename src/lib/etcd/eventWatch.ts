import {status} from '@grpc/grpc-js'
import type {IEvent, IWatchRequest, IWatchResponse} from 'etcd3'
import type {Clock} from '../core/clock.ts'
import type {Revision} from '../core/identifiers.ts'
import type {CallPolicy} from './callPolicy.ts'
import {toError} from './failure.ts'

/** A broken watch is opened again after this, doubled each time that it does not stand: nothing is missed meanwhile, but it is what wakes us. */
const firstPauseMs = 100
const longestPauseMs = 1000

/** A key, or all from one on up to another. */
export interface Watched {
  key: Buffer
  range_end?: Buffer
}

/**
 * Follows a key or a range from the revision after the one given. `onEvents` gets each revision once, whole and in order, until
 * it returns true. A broken stream is opened again on the next member from the last revision on; only a compaction, which may
 * have swallowed what comes next, ends it otherwise.
 *
 * The stream begins with the last revision and not with the one after it: if just that one was compacted, etcd would drop the
 * deletions in it and say nothing (etcd's issue 18089; seen with 3.4.23). Events up to the last revision do not count, nor older
 * ones, which etcd 3.5.16 can deliver. Answers come in fragments where they would be larger than etcd's requests may be, and gRPC
 * takes no more than 4 MiB: thousands of changes that were missed in an outage.
 */
export async function eventWatch(
  watched: Watched,
  afterRevision: Revision,
  onEvents: (revision: Revision, events: readonly IEvent[]) => boolean,
  {policy, clock}: {policy: CallPolicy; clock: Clock},
  signal: AbortSignal,
): Promise<'ended' | 'compacted'> {
  let seen = afterRevision
  let pauseMs = firstPauseMs
  let end: 'ended' | 'compacted' | undefined
  const handOver = (events: readonly IEvent[]): boolean => {
    for (let rest = events; rest[0] !== undefined && end === undefined;) {
      const {mod_revision} = rest[0].kv
      const length = rest.findIndex(({kv}) => kv.mod_revision !== mod_revision)
      const ofOne = length < 0 ? rest : rest.slice(0, length)
      rest = rest.slice(ofOne.length)
      const revision = BigInt(mod_revision)
      if (revision <= seen) continue
      seen = revision
      if (onEvents(revision, ofOne)) end = 'ended'
    }
    return end !== undefined
  }
  for (;;) {
    let fragments: IEvent[] = []
    const onAnswer = (answer: IWatchResponse): boolean => {
      if (answer.canceled) {
        if (BigInt(answer.compact_revision) === 0n) throw cancelled(answer.cancel_reason)
        end = 'compacted'
        return true
      }
      pauseMs = firstPauseMs
      fragments.push(...answer.events)
      // A revision may go on in the next one.
      if (answer.fragment) return false
      const events = fragments
      fragments = []
      return handOver(events)
    }
    const [member] = policy.members
    const start_revision = seen.toString()
    const request: IWatchRequest = {
      create_request: {...watched, start_revision, filters: [], fragment: true},
    }
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
