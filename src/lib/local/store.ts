import type {Clock} from '../core/clock.ts'
import {type Change, type Changed, Keyspace} from './keyspace.ts'
import {Lessor} from './lessor.ts'
import {keyText} from './sortedKeys.ts'
import {type Storage, Superseded} from './storage.ts'
import {checkKey, checkPut, checkRange, checkTxn} from './txnCheck.ts'
import {
  type DeleteAnswer,
  type DeleteRequest,
  type Lease,
  type PutAnswer,
  type PutRequest,
  type RangeAnswer,
  type RangeRequest,
  type Refusal,
  type TxnAnswer,
  type TxnRequest,
  type WatchAnswer,
  refusals,
  unavailable,
} from './values.ts'
import {WatchHub, type WatchStream} from './watchHub.ts'

/** An answer that says no revision by itself, and the revision at which it is true. */
type At<Answer> = Answer & {readonly revision: number}

/**
 * Keys, leases and watches together, on a storage. Whatever it answers or tells a watch is on the disk by then, and no other
 * engine has the store: nobody sees what could be undone, and a revision is never given twice.
 *
 * Requests are refused with `Refusal`; all of them, from then on, when the storage fails or has been opened by another engine.
 */
export class Store {
  readonly #storage: Storage
  readonly #clock: Clock
  readonly #keyspace: Keyspace
  readonly #lessor: Lessor
  readonly #hub: WatchHub
  readonly #onFailure: (cause: unknown) => void
  #failure: Refusal | undefined
  #cancelExpiry = (): void => {}
  #expiryAtMs = Infinity

  /** @param onFailure hears, once, why nothing can be answered any more: `Superseded`, or what the storage threw */
  constructor(storage: Storage, clock: Clock, onFailure: (cause: unknown) => void) {
    this.#storage = storage
    this.#clock = clock
    this.#keyspace = new Keyspace(storage.contents)
    this.#lessor = new Lessor(clock, storage.contents)
    this.#hub = new WatchHub(this.#keyspace)
    this.#onFailure = onFailure
    this.#awaitExpiry()
  }

  get epoch(): number {
    return this.#storage.epoch
  }

  get leaseCount(): number {
    return this.#lessor.count
  }

  range(request: RangeRequest): Promise<RangeAnswer> {
    checkRange(request)
    return this.#answer(() => this.#keyspace.range(request))
  }

  put(request: PutRequest): Promise<PutAnswer> {
    checkPut(request)
    return this.#answer(() => this.#changed(this.#keyspace.put(request, (id) => this.#lessor.has(id))))
  }

  delete(request: DeleteRequest): Promise<DeleteAnswer> {
    checkKey(request)
    return this.#answer(() => this.#changed(this.#keyspace.delete(request)))
  }

  txn(request: TxnRequest): Promise<TxnAnswer> {
    checkTxn(request)
    return this.#answer(() => this.#changed(this.#keyspace.txn(request, (id) => this.#lessor.has(id))))
  }

  compact(revision: number): Promise<At<object>> {
    return this.#answer(() => {
      this.#keyspace.compact(revision)
      return this.#at({})
    })
  }

  grant(id: bigint, ttlSeconds: number): Promise<At<Lease>> {
    return this.#answer(() => {
      const lease = this.#lessor.grant(id, ttlSeconds)
      const {revision} = this.#keyspace
      this.#storage.append({revision, puts: [], deletions: [], granted: [lease], revoked: []})
      this.#awaitExpiry()
      return this.#at(lease)
    })
  }

  revoke(id: bigint): Promise<At<object>> {
    return this.#answer(() => {
      this.#revoke(id)
      return this.#at({})
    })
  }

  /** @returns the TTL; 0 if there is no such lease */
  keepAlive(id: bigint): Promise<At<{ttlSeconds: number}>> {
    return this.#answer(() => this.#at({ttlSeconds: this.#lessor.keepAlive(id)}))
  }

  timeToLive(id: bigint): Promise<At<{remaining: ReturnType<Lessor['remaining']>}>> {
    return this.#answer(() => this.#at({remaining: this.#lessor.remaining(id)}))
  }

  leases(): Promise<At<{leases: readonly Lease[]}>> {
    return this.#answer(() => this.#at({leases: this.#lessor.all()}))
  }

  status(): Promise<At<object>> {
    return this.#answer(() => this.#at({}))
  }

  /** @param send gets each answer when what it says is on the disk; nothing after a failure */
  watch(send: (answer: WatchAnswer) => void): WatchStream {
    let sent: Promise<unknown> = Promise.resolve()
    return this.#hub.open((answer) => {
      sent = Promise.all([sent, this.#settled()]).then(() => send(answer))
      sent.catch(() => {})
    })
  }

  /** Fails if another engine has the store: for a time in which nobody asks anything, and before a watch is told what was. */
  check(): void {
    try {
      if (!this.#storage.isCurrent()) this.#fail(new Superseded('another engine has the store'))
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Stops time. Requests are refused from now on. */
  async close(): Promise<void> {
    this.#failure ??= refusals.stopped()
    this.#cancelExpiry()
    await this.#storage.close()
  }

  async #answer<Answer>(work: () => Answer): Promise<Answer> {
    if (this.#failure === undefined) this.check()
    if (this.#failure !== undefined) throw this.#failure
    this.#expire()
    const answer = work()
    await this.#settled()
    return answer
  }

  async #settled(): Promise<void> {
    try {
      await this.#storage.settled()
    } catch (error) {
      this.#fail(error)
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  #fail(cause: unknown): void {
    if (this.#failure !== undefined) return
    this.#failure = unavailable(`etcdserver: ${cause instanceof Error ? cause.message : String(cause)}`)
    this.#cancelExpiry()
    this.#onFailure(cause)
  }

  #at<Answer extends object>(answer: Answer): At<Answer> {
    return {...answer, revision: this.#keyspace.revision}
  }

  #changed<Answer>({answer, change}: Changed<Answer>): Answer {
    if (change.events.length > 0) this.#record(change, [])
    return answer
  }

  #record(change: Change, revoked: readonly bigint[]): void {
    const {revision, events} = change
    // A transaction may delete a key and put it: what counts is the last.
    const last = [...new Map(events.map((event) => [keyText(event.kv.key), event])).values()]
    this.#storage.append({
      revision,
      puts: last.flatMap(({type, kv}) => (type === 'put' ? [kv] : [])),
      deletions: last.flatMap(({type, kv}) => (type === 'delete' ? [kv.key] : [])),
      granted: [],
      revoked,
    })
    this.#lessor.follow(events)
    this.#hub.publish(change)
  }

  #revoke(id: bigint): void {
    this.#record(this.#keyspace.deleteKeys(this.#lessor.revoke(id)), [id])
  }

  #expire(): void {
    for (const id of this.#lessor.due()) this.#revoke(id)
  }

  /** Looks for leases that are due when the next one can be. */
  #awaitExpiry(): void {
    const atMs = this.#lessor.nextExpiryAtMs
    if (atMs === this.#expiryAtMs || this.#failure !== undefined) return
    this.#cancelExpiry()
    this.#expiryAtMs = atMs
    if (atMs === Infinity) return
    this.#cancelExpiry = this.#clock.at(atMs, () => {
      this.#expire()
      this.#expiryAtMs = Infinity
      this.#awaitExpiry()
    })
  }
}
