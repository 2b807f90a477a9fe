import type {Clock} from '../core/clock.ts'
import type {Revision} from '../core/identifiers.ts'
import type {CallPolicy} from './callPolicy.ts'
import {type Watched, eventWatch} from './eventWatch.ts'

/**
 * Waits for the deletion of a key, or of any of a range, above a revision. A compaction, which may have swallowed the event,
 * ends in `unknown`.
 */
export async function deletionWatch(
  watched: Watched,
  afterRevision: Revision,
  ports: {policy: CallPolicy; clock: Clock},
  signal: AbortSignal,
): Promise<'deleted' | 'unknown'> {
  const end = await eventWatch(
    watched,
    afterRevision,
    (_, events) => events.some(({type}) => type === 'Delete'),
    ports,
    signal,
  )
  return end === 'ended' ? 'deleted' : 'unknown'
}
