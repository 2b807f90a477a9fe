import {type LeaseId, type Revision, leaseHex} from './identifiers.ts'
import type {Mode} from './mode.ts'
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
  /** Create revisions of our tickets in that read, one transaction for all; undefined where one is not there. */
  createRevisions: readonly (Revision | undefined)[]
}

/** Where tickets stand, and how ours does. Every key below the prefix is a competitor. */
export interface QueueKeys {
  /** Ends in `/`. */
  queuePrefix: string
  /** Of exclusive holds. Beside the queue, without a lease: there from the first start to the clean end. */
  markKey?: string
  /** The same of holds beside others: each has its own below this prefix, by its mode and lease. Ends in `/`. */
  besideMarks?: string
  /** Absent: exclusive. */
  mode?: Mode
}

/** The mark of the hold that this lease has there; undefined beside a raw key. */
export function markKeyOf({markKey, besideMarks, mode}: QueueKeys, lease: LeaseId): string | undefined {
  if (mode === undefined || mode.kind === 'exclusive') return markKey
  return besideMarks && `${besideMarks}${mode.kind}/${leaseHex(lease)}`
}

/** What to put into the queues. */
export interface Enqueue {
  /** No two of them overlap. */
  queues: readonly [QueueKeys, ...QueueKeys[]]
  lease: LeaseId
  /** The tickets' value. */
  value: string | Uint8Array
  /** Put together with a ticket, on the same lease: what the ticket's own value has no room for. */
  beside?: {key: string; value: string}
  /** Put the tickets only if nobody is in any of the queues. */
  onlyIfNobody: boolean
}

/** Removes a ticket, and its mark with it. */
export interface Dequeue {
  ticket: Ticket
  markKey?: string
  /** Marks of others who vanished, and whose trees are dead by now: they go with ours. */
  settled?: readonly string[]
}

/** Who keeps the leases, for messages. */
export interface Server {
  /** The subject of a sentence: `etcd`. */
  readonly name: string
  /** What may help when it does not answer, as `LeashError.wayOut`. */
  readonly wayOut: string
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
  readonly server: Server

  /** Why the latest attempt that failed did so, for messages; before one has, that there is no answer yet. */
  readonly lastFailure: string

  /** Grants a lease with an id of ours. One request. */
  grant(lease: LeaseId, ttlSeconds: number, signal: AbortSignal): Promise<Granted>

  /**
   * If nobody is in any of the queues, puts a ticket and the mark into each of them; else lines up in the first queue only,
   * or nowhere under `onlyIfNobody`. One request, one transaction. Repeated, it finds the tickets of the first attempt.
   *
   * Shows each queue that has our ticket now, in their order: the first one, or all. If there is none, the first queue that
   * somebody is in.
   *
   * @throws LeaseGone if the lease ended before a ticket was put; or if a ticket of the first attempt was taken away since, and
   *   one that comes later in the order is still there: without the earlier one it may stand in somebody's way for ever
   */
  enqueue(request: Enqueue, signal: AbortSignal): Promise<readonly QueueView[]>

  /** Shows the queue ahead of a ticket that was put: linearizable, one request. */
  look(ticket: Ticket, keys: QueueKeys, signal: AbortSignal): Promise<QueueView>

  /** How many tickets are ahead of this one, and the first of them: for people only, one request. */
  peek(
    ticket: Ticket,
    queuePrefix: string,
    signal: AbortSignal,
  ): Promise<{ahead: number; first?: TicketAhead}>

  /**
   * One attempt, hedged with a second member after `hedgeAfterMs`: a keep-alive, then a linearizable read of all tickets.
   * Not retried.
   *
   * @param tickets of one lease
   *
   * @throws RenewalFailed when no evidence came within `attemptMs`
   */
  renew(
    tickets: readonly [Ticket, ...Ticket[]],
    timing: {attemptMs: number; hedgeAfterMs: number},
    signal: AbortSignal,
  ): Promise<RenewalEvidence>

  /**
   * Puts the marks, and `value` into the tickets if there is one, if all of these are still there; false, and nothing is put,
   * if one is not. One request.
   */
  declareHold(
    holds: readonly {ticket: Ticket; markKey: string}[],
    value: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean>

  /** Puts another value into a ticket that is still there; false, and nothing is put, if it is not. One request. */
  proclaim(ticket: Ticket, value: Uint8Array, signal: AbortSignal): Promise<boolean>

  /**
   * Removes the tickets and their marks in one transaction; where a ticket is gone already, the mark if it is this
   * ticket's. `gone`: one of them was. `unknown`: the same, but the answer to an earlier try was lost, so that may have
   * removed it. One request.
   */
  dequeue(holds: readonly Dequeue[], signal: AbortSignal): Promise<'removed' | 'gone' | 'unknown'>

  /**
   * Removes those of the marks that the tickets of this lease made, and nobody has rewritten since: then nobody vanished.
   * A mark that a ticket of this lease found and rewrote speaks of an earlier holder, and stays. One request.
   */
  unmark(lease: LeaseId, markKeys: readonly string[], signal: AbortSignal): Promise<void>

  /** Ends the lease, and with it whatever tickets hang on it, also one that is still under way. Repeating is harmless. */
  revoke(lease: LeaseId, signal: AbortSignal): Promise<void>

  /**
   * Resolves when the key was seen deleted at a revision above `afterRevision`, or when that may have been missed (a
   * compaction): a wake-up to look again, not a decision.
   */
  deletion(key: string, afterRevision: Revision, signal: AbortSignal): Promise<'deleted' | 'unknown'>

  /** The same for any key of a queue. */
  anyDeletion(
    queuePrefix: string,
    afterRevision: Revision,
    signal: AbortSignal,
  ): Promise<'deleted' | 'unknown'>
}

/** The lease ended before a ticket could be bound to it, or has lost one: another lease is needed. */
export class LeaseGone extends Error {
  override readonly name = 'LeaseGone'
}

/** No member answered a renewal in time; the message says why. */
export class RenewalFailed extends Error {
  override readonly name = 'RenewalFailed'
}
