import type {IEvent, ILeaseGrantResponse, IRangeResponse, ITxnRequest, ITxnResponse} from 'etcd3'
import type {Clock} from '../core/clock.ts'
import type {LeaseId, Revision} from '../core/identifiers.ts'
import type {QueueReading, Step} from '../core/observation.ts'
import type {QueueReader} from '../core/observer.ts'
import type {
  Dequeue,
  Enqueue,
  Granted,
  LeaseStore,
  QueueKeys,
  RenewalEvidence,
  Server,
} from '../core/ports.ts'
import type {QueueView} from '../core/queue.ts'
import type {Ticket, TicketAhead} from '../core/ticket.ts'
import {Authentication, type Credentials} from './authentication.ts'
import {CallPolicy} from './callPolicy.ts'
import {deletionWatch} from './deletionWatch.ts'
import {eventWatch} from './eventWatch.ts'
import {Member, type Security} from './member.ts'
import {queueReading, queueRequest, ticketEvent} from './queueRequests.ts'
import {hedgedRenewal} from './renewal.ts'
import * as requests from './requests.ts'

/** How an etcd is reached. */
export interface Access {
  /** Needed for `https`. */
  tls?: Security | undefined
  /** Without: an etcd that wants to know a user refuses. */
  credentials?: Credentials | undefined
  /** Brings back a server that does not run; see CallPolicy. Without: it is waited for. */
  revive?: (() => Promise<void>) | undefined
  /** What messages call it. Without: etcd. */
  server?: Server | undefined
}

const etcd: Server = {name: 'etcd', wayOut: 'check the endpoints and the network'}

/** A connection that takes longer is not worth waiting for: the first request makes another attempt. */
const connectMs = 2000

/** The lease store on a real etcd. `close` it at the end, or its connections keep the process alive. */
export class EtcdStore implements LeaseStore, QueueReader {
  readonly server: Server
  readonly #members: readonly [Member, ...Member[]]
  readonly #policy: CallPolicy
  readonly #clock: Clock
  readonly #closed = new AbortController()
  readonly #authentication: Authentication | undefined

  /**
   * @param endpoints of one cluster, the nearest first: `http://host:port`; with TLS, `https://host:port`
   * @throws as Member
   */
  constructor(
    endpoints: readonly [string, ...string[]],
    clock: Clock,
    {tls, credentials, revive, server = etcd}: Access = {},
  ) {
    this.server = server
    this.#authentication = credentials && new Authentication(credentials, clock)
    const access = {tls, authentication: this.#authentication}
    const [first, ...rest] = endpoints
    this.#members = [new Member(first, access), ...rest.map((endpoint) => new Member(endpoint, access))]
    this.#policy = new CallPolicy(this.#members, clock, revive)
    this.#clock = clock
  }

  get lastFailure(): string {
    return this.#policy.lastFailure ?? `${this.#members[0].endpoint}: no answer`
  }

  grant(lease: LeaseId, ttlSeconds: number, signal: AbortSignal): Promise<Granted> {
    const firstSentAtMs = this.#clock.elapsedMs()
    const request = {ID: lease.toString(), TTL: ttlSeconds}
    return this.#policy.call(
      signal,
      async ({member, signal: limited}) => {
        const sentAtMs = this.#clock.elapsedMs()
        const answer = await member.unary<ILeaseGrantResponse>('Lease', 'leaseGrant', request, limited)
        return {ttlMs: Number(answer.TTL) * 1000, sentAtMs}
      },
      // An earlier try of ours arrived, and its answer was lost. etcd grants at least what it is asked for.
      (failure) =>
        failure.is === 'leaseExists' ? {ttlMs: ttlSeconds * 1000, sentAtMs: firstSentAtMs} : undefined,
    )
  }

  async enqueue(request: Enqueue, signal: AbortSignal): Promise<readonly QueueView[]> {
    const answer = await this.#txn(requests.enqueueRequest(request), signal)
    const seen = requests.enqueueViews(request, answer)
    if ('views' in seen) return seen.views
    const {queues} = request
    return Promise.all(
      seen.repeated.map((ticket, index) => this.look(ticket, queues[index] ?? queues[0], signal)),
    )
  }

  async look(ticket: Ticket, keys: QueueKeys, signal: AbortSignal): Promise<QueueView> {
    return requests.lookView(ticket, keys, await this.#txn(requests.lookRequest(ticket, keys), signal))
  }

  async peek(
    ticket: Ticket,
    queuePrefix: string,
    signal: AbortSignal,
  ): Promise<{ahead: number; first?: TicketAhead}> {
    return requests.peekView(await this.#txn(requests.peekRequest(ticket, queuePrefix), signal))
  }

  renew(
    tickets: readonly [Ticket, ...Ticket[]],
    timing: {attemptMs: number; hedgeAfterMs: number},
    signal: AbortSignal,
  ): Promise<RenewalEvidence> {
    return hedgedRenewal(tickets, timing, {policy: this.#policy, clock: this.#clock}, signal)
  }

  async declareHold(
    holds: readonly {ticket: Ticket; markKey: string}[],
    value: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    return (await this.#txn(requests.declareHoldRequest(holds, value), signal)).succeeded
  }

  proclaim(ticket: Ticket, value: Uint8Array, signal: AbortSignal): Promise<boolean> {
    return this.#policy.call(signal, async ({member, signal: limited, repeated}) => {
      const request = requests.proclaimRequest(ticket, value, repeated)
      return (await member.unary<ITxnResponse>('KV', 'txn', request, limited)).succeeded
    })
  }

  dequeue(holds: readonly Dequeue[], signal: AbortSignal): Promise<'removed' | 'gone' | 'unknown'> {
    return this.#policy.call(signal, async ({member, signal: limited, repeated}) => {
      const answer = await member.unary<ITxnResponse>('KV', 'txn', requests.dequeueRequest(holds), limited)
      if (requests.allRemoved(answer)) return 'removed'
      return repeated ? 'unknown' : 'gone'
    })
  }

  async unmark(lease: LeaseId, markKeys: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#txn(requests.unmarkRequest(lease, markKeys), signal)
  }

  async revoke(lease: LeaseId, signal: AbortSignal): Promise<void> {
    await this.#policy.call<unknown>(
      signal,
      ({member, signal: limited}) => member.unary('Lease', 'leaseRevoke', {ID: lease.toString()}, limited),
      (failure) => (failure.is === 'leaseGone' ? 'revoked' : undefined),
    )
  }

  deletion(key: string, afterRevision: Revision, signal: AbortSignal): Promise<'deleted' | 'unknown'> {
    return deletionWatch(
      {key: Buffer.from(key, 'utf8')},
      afterRevision,
      {policy: this.#policy, clock: this.#clock},
      signal,
    )
  }

  anyDeletion(
    queuePrefix: string,
    afterRevision: Revision,
    signal: AbortSignal,
  ): Promise<'deleted' | 'unknown'> {
    return deletionWatch(
      requests.prefixRange(queuePrefix),
      afterRevision,
      {policy: this.#policy, clock: this.#clock},
      signal,
    )
  }

  readQueue(queuePrefix: string, part: 'all' | 'first', signal: AbortSignal): Promise<QueueReading> {
    return this.#policy.call(signal, async ({member, signal: limited}) => {
      const sentAtMs = this.#clock.elapsedMs()
      const request = queueRequest(queuePrefix, part)
      return queueReading(await member.unary<IRangeResponse>('KV', 'range', request, limited), sentAtMs)
    })
  }

  async follow(
    queuePrefix: string,
    afterRevision: Revision,
    onStep: (step: Step) => void,
    signal: AbortSignal,
  ): Promise<'compacted'> {
    const onEvents = (revision: Revision, events: readonly IEvent[]): false => {
      onStep({revision, events: events.map(ticketEvent)})
      return false
    }
    const ports = {policy: this.#policy, clock: this.#clock}
    await eventWatch(requests.prefixRange(queuePrefix), afterRevision, onEvents, ports, signal)
    return 'compacted'
  }

  /**
   * Connects to the member that will be asked first, and authenticates there, for who will have something to ask soon; by a
   * read that counts the tickets of a queue. What fails now fails then.
   */
  async connect(queuePrefix: string): Promise<void> {
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(connectMs)])
    await this.#members[0].unary('KV', 'range', requests.countRequest(queuePrefix), signal).catch(() => {})
  }

  /** Ends all connections. */
  close(): void {
    this.#closed.abort()
    this.#authentication?.close()
    for (const member of this.#members) member.close()
  }

  #txn(request: ITxnRequest, signal: AbortSignal): Promise<ITxnResponse> {
    return this.#policy.call(signal, ({member, signal: limited}) =>
      member.unary<ITxnResponse>('KV', 'txn', request, limited),
    )
  }
}
