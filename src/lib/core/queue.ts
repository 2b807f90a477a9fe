import type {Revision} from './identifiers.ts'
import type {Ticket, TicketAhead} from './ticket.ts'

/** What one transaction showed of a queue, from where our ticket stands. */
export interface QueueView {
  /** Our ticket; absent if it is not there: never put (`--no-wait`), deleted, or gone with its lease. */
  own?: Ticket
  /** The ticket that blocks us: for a waiter the one just ahead, under `--no-wait` the first. */
  ahead?: TicketAhead
  /** Create revision of the mark of an unfinished hold, if there is one. */
  markRevision?: Revision
  /** The revision of this view: a watch from the next one on misses nothing. */
  revision: Revision
}

/** What a view of the queue means for us. */
export type Admission =
  | {is: 'admitted'; ticket: Ticket; predecessorVanished: boolean}
  | {is: 'behind'; ticket: Ticket; ahead: TicketAhead}
  | {is: 'contended'; ahead: TicketAhead}
  /** Our ticket is gone: queue again. */
  | {is: 'absent'}

/**
 * The exclusive admission rule, also that of an election: admitted when no ticket is ahead *and* our own ticket was
 * seen in the same view: a waiter whose lease died while it waited must not take an empty queue for its turn.
 *
 * A mark that is older than our ticket was put by somebody who is gone without a clean end, for a clean end deletes
 * ticket and mark in one transaction. (A mark of our own was put together with our ticket, at the same revision.) For
 * a waiter every mark is such a mark, whatever its age: whoever put it stood ahead, and nobody does now.
 */
export function admission(view: QueueView): Admission {
  const {own, ahead, markRevision} = view
  if (own === undefined) return ahead === undefined ? {is: 'absent'} : {is: 'contended', ahead}
  if (ahead !== undefined) return {is: 'behind', ticket: own, ahead}
  return {
    is: 'admitted',
    ticket: own,
    predecessorVanished: markRevision !== undefined && markRevision !== own.createRevision,
  }
}
