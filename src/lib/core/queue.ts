import type {Revision} from './identifiers.ts'
import {type Mode, blockedBy, exclusive, mustSettle, otherSlots} from './mode.ts'
import type {Ticket, TicketAhead} from './ticket.ts'

/** What one transaction showed of a queue, from where our ticket stands. */
export interface QueueView {
  /** Our ticket; absent if it is not there: never put (`--no-wait`), deleted, or gone with its lease. */
  own?: Ticket
  /** The ticket that blocks us if we are exclusive: for a waiter the one just ahead, under `--no-wait` the first. */
  ahead?: TicketAhead
  /** All tickets but ours, the first one first: if we are not exclusive, as it is their modes that count. */
  others?: readonly TicketAhead[]
  /** Create revision of the mark of an unfinished exclusive hold, if there is one. */
  markRevision?: Revision
  /** The marks of unfinished holds beside others, ours too. */
  besideMarks?: readonly BesideMark[]
  /** The revision of this view: a watch from the next one on misses nothing. */
  revision: Revision
}

/** The mark of one hold beside others. */
export interface BesideMark {
  key: string
  kind: Mode['kind']
  /** In hex, as the ticket's key ends with. */
  lease: string
}

/** Reads the key of such a mark, which ends in its mode and lease. */
export function besideMark(key: string): BesideMark {
  const [kind, lease = ''] = key.split('/').slice(-2)
  // Of a mode that we do not know, it is as an exclusive one.
  return {key, kind: kind === 'shared' || kind === 'slots' ? kind : 'exclusive', lease}
}

/** What a view of the queue means for us. */
export type Admission =
  | {
      is: 'admitted'
      ticket: Ticket
      /** Somebody is gone without a clean end, whose tree may still be at work where we are about to start. */
      predecessorVanished: boolean
      /** The marks of those who are gone so. */
      vanished: readonly string[]
    }
  /** Until the ticket ahead goes, or any of those that hold. */
  | {is: 'behind'; ticket: Ticket; ahead: TicketAhead; wakes: 'this' | 'any'}
  | {is: 'contended'; ahead: TicketAhead}
  /** Somebody counts on another number of slots. */
  | {is: 'unlike'; ahead: TicketAhead; slots: number}
  /** Our ticket is gone: queue again. */
  | {is: 'absent'}

/**
 * What the admission rule says to a view, for a ticket of this mode: admitted when nobody blocks it *and* our own ticket was
 * seen in the same view: a waiter whose lease died while it waited must not take an empty queue for its turn.
 *
 * A mark that is older than our ticket was put by somebody who is gone without a clean end, for a clean end deletes
 * ticket and mark in one transaction. (A mark of our own was put together with our ticket, at the same revision.) For
 * a waiter every mark is such a mark, whatever its age: whoever put it stood ahead, and nobody does now. The mark of a hold
 * beside others is such a mark if its ticket is not in the queue.
 */
export function admission(view: QueueView, mode: Mode = exclusive): Admission {
  const {own, ahead, others = []} = view
  if (own === undefined) return ahead === undefined ? {is: 'absent'} : {is: 'contended', ahead}
  const before = others.filter(({createRevision}) => createRevision < own.createRevision)
  const unlike = otherSlots(mode, before)
  if (unlike !== undefined) return {is: 'unlike', ahead: unlike, slots: unlike.mode.slots}
  const blocked = blockedBy(mode, mode.kind === 'exclusive' ? [ahead ?? []].flat() : before)
  if (blocked !== undefined) return {is: 'behind', ticket: own, ahead: blocked.by, wakes: blocked.wakes}
  const {keys, kinds} = vanishedIn(view, own)
  return {
    is: 'admitted',
    ticket: own,
    predecessorVanished: mustSettle(mode, kinds, before.length),
    vanished: keys,
  }
}

/** Who is gone without a clean end. */
function vanishedIn(
  {others = [], markRevision, besideMarks = []}: QueueView,
  own: Ticket,
): {keys: string[]; kinds: Mode['kind'][]} {
  const present = [own, ...others].map(({key}) => key.slice(key.lastIndexOf('/') + 1))
  const gone = besideMarks.filter(({lease}) => !present.includes(lease))
  const wasExclusive = markRevision !== undefined && markRevision !== own.createRevision
  return {
    keys: gone.map(({key}) => key),
    kinds: [...gone.map(({kind}) => kind), ...(wasExclusive ? (['exclusive'] as const) : [])],
  }
}
