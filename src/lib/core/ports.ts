import type {LeaseId, Revision} from './identifiers.ts'
import type {QueueView} from './queue.ts'
import type {Ticket, TicketAhead} from './ticket.ts'

/** A lease as etcd granted it. */
export interface Granted {
  /** T. May be larger than asked for: etcd raises small TTLs. */
  ttlMs: number
  /**
   * When the request left, by the store's clock. After an answer was lost and the repeated grant found the lease
   * there, this is when the *first* attempt left.
   */
  sentAtMs: number
}

/** What one attempt at a renewal brought to light. Whether that confirms the session is core's to judge. */
export interface RenewalEvidence {
  /** When this very attempt left. */
  sentAtMs: number
  /** T in the keep-alive's answer; 0 when the member that answered knows no such lease. */
  ttlMs: number
  /** The raft term in the keep-alive's answer, which does not go through raft. */
  keepAliveTerm: bigint
  /** The raft term in the answer of the linearizable read that followed. */
  readTerm: bigint
  /** Create revision of our ticket in that read; absent if it is not there. */
  createRevision?: Revision
}

/** What to put into the queue. */
export interface Enqueue {
  queuePrefix: string
  lease: LeaseId
  /** The ticket's value. */
  value: string
  markKey?: string
  /** Put the ticket only if nobody is in the queue. */
  onlyIfNobody: boolean
}

/** Removes a ticket, and its mark with it, in one transaction. */
export interface Dequeue {
  ticket: Ticket
  markKey?: string
}

/**
 * The lease service that core needs: etcd's v3 API, a dozen requests of it. An implementation
 *
 * - retries transient failures until `signal` is aborted, then rejects with `signal.reason`; everything here is either
 *   a read or idempotent by construction (a lease id and a ticket key of our own), so a lost answer is resolved by
 *   asking again;
 * - throws `LeashError` `permission` when etcd refuses, `LeaseGone` where documented, and `unavailable` for a server
 *   that is no etcd;
 * - stamps `sentAtMs` with the clock that core uses.
 */
export interface LeaseStore {
  /** Why the latest attempt that failed did so, for messages; before one has, that there is no answer yet. */
  readonly lastFailure: string

  /** Grants a lease with an id of ours. One request. */
  grant(lease: LeaseId, ttlSeconds: number, signal: AbortSignal): Promise<Granted>

  /**
   * Puts a ticket, and shows the queue. If nobody was there, the mark is put in the same transaction. Repeated, it finds
   * the ticket of the first attempt. One request.
   *
   * @throws LeaseGone if the lease ended before the ticket was put
   */
  enqueue(request: Enqueue, signal: AbortSignal): Promise<QueueView>

  /** Shows the queue ahead of a ticket that was put: linearizable, one request. */
  look(ticket: Ticket, keys: {queuePrefix: string; markKey?: string}, signal: AbortSignal): Promise<QueueView>

  /** How many tickets are ahead of this one, and the first of them: for people only, one request. */
  peek(
    ticket: Ticket,
    queuePrefix: string,
    signal: AbortSignal,
  ): Promise<{ahead: number; first?: TicketAhead}>

  /**
   * One attempt, hedged with a second member after `hedgeAfterMs`: a keep-alive, then a linearizable read of the ticket.
   * Not retried.
   *
   * @throws RenewalFailed when no evidence came within `attemptMs`
   */
  renew(
    ticket: Ticket,
    timing: {attemptMs: number; hedgeAfterMs: number},
    signal: AbortSignal,
  ): Promise<RenewalEvidence>

  /**
   * Puts the mark, and `value` into the ticket, if that is still there; false if it is not. One request.
   */
  declareHold(ticket: Ticket, mark: {markKey: string; value: string}, signal: AbortSignal): Promise<boolean>

  /**
   * Removes the ticket and the mark in one transaction; if the ticket is gone already, the mark if it is this ticket's.
   * `unknown`: the answer to an earlier try was lost, so the ticket may have been removed by it or by somebody else. One
   * request.
   */
  dequeue(request: Dequeue, signal: AbortSignal): Promise<'removed' | 'gone' | 'unknown'>

  /**
   * Removes the mark if the ticket of this lease was what made it, and nobody has rewritten it since: then nobody vanished.
   * A mark that this lease's ticket found and rewrote speaks of an earlier holder, and stays. One request.
   */
  unmark(lease: LeaseId, markKey: string, signal: AbortSignal): Promise<void>

  /** Ends the lease, and with it whatever ticket hangs on it, also one that is still under way. Repeating is harmless. */
  revoke(lease: LeaseId, signal: AbortSignal): Promise<void>

  /**
   * Resolves when the key was seen deleted at a revision above `afterRevision`, or when that may have been missed (a
   * compaction): a wake-up to look again, not a decision.
   */
  deletion(key: string, afterRevision: Revision, signal: AbortSignal): Promise<'deleted' | 'unknown'>
}

/** The lease ended before a ticket could be bound to it. */
export class LeaseGone extends Error {
  override readonly name = 'LeaseGone'
}

/** No member answered a renewal in time; the message says why. */
export class RenewalFailed extends Error {
  override readonly name = 'RenewalFailed'
}
