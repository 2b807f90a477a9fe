import type {Clock} from '../core/clock.ts'
import type {Revision} from '../core/identifiers.ts'
import type {CallPolicy} from './callPolicy.ts'
import {eventWatch} from './eventWatch.ts'

/** Waits for a key's deletion above a revision. A compaction, which may have swallowed the event, ends in `unknown`. */
export async function deletionWatch(
  key: string,
  afterRevision: Revision,
  ports: {policy: CallPolicy; clock: Clock},
  signal: AbortSignal,
): Promise<'deleted' | 'unknown'> {
  const watched = {key: Buffer.from(key, 'utf8')}
  const end = await eventWatch(
    watched,
    afterRevision,
    (_, events) => events.some(({type}) => type === 'Delete'),
    ports,
    signal,
  )
  return end === 'ended' ? 'deleted' : 'unknown'
}
