import type {Clock} from '../core/clock.ts'
import {type KeyText, keyText} from './sortedKeys.ts'
import {type Event, type KeyValue, type Lease, refusals} from './values.ts'

/** As etcd's with default timing: one and a half times its election timeout of 1 s, in whole seconds. */
const leastTtlSeconds = 2
/** etcd's bound: 285 years. */
const longestTtlSeconds = 9_000_000_000

/** The clock may run ahead by so much: it takes part of boot time, which Linux counts in hundredths of a second. */
export const clockGrainMs = 10

/** A lease as the lessor keeps it. */
interface Tenure extends Lease {
  /** By which time it is over, and not before, however coarse the clock is. */
  expiresAtMs: number
  readonly keys: Set<KeyText>
}

/** What is left of a lease. */
export interface Remaining {
  readonly ttlSeconds: number
  /** Whole seconds, rounded down. */
  readonly leftSeconds: number
  /** In order. */
  readonly keys: readonly Buffer[]
}

/**
 * Leases, their time, and the keys on them. A lease expires at its time or later and never before; who made the lessor revokes
 * what is due. Keep-alives are not durable, so a lessor that starts gives every lease its full time again.
 */
export class Lessor {
  readonly #clock: Clock
  readonly #leases = new Map<bigint, Tenure>()
  readonly #leaseOf = new Map<KeyText, bigint>()
  /** No lease expires before it. */
  #nextExpiryAtMs = Infinity

  constructor(clock: Clock, {leases, keys}: {leases: readonly Lease[]; keys: readonly KeyValue[]}) {
    this.#clock = clock
    for (const lease of leases) this.#add(lease)
    for (const {key, lease} of keys) this.#attach(keyText(key), lease)
  }

  get count(): number {
    return this.#leases.size
  }

  has(id: bigint): boolean {
    return this.#leases.has(id)
  }

  /**
   * @param id 0n lets the lessor choose one
   * @returns the lease, with at least 2 s
   * @throws Refusal if there is one with that id, or the TTL is above 9,000,000,000 s
   */
  grant(id: bigint, ttlSeconds: number): Lease {
    if (ttlSeconds > longestTtlSeconds) throw refusals.leaseTtlTooLarge()
    if (this.has(id)) throw refusals.leaseExists()
    const lease = {id: id === 0n ? this.#newId() : id, ttlSeconds: Math.max(ttlSeconds, leastTtlSeconds)}
    this.#add(lease)
    return lease
  }

  /** Ends a lease. @returns its keys, in order, for whoever deletes them @throws Refusal if it is not there */
  revoke(id: bigint): readonly Buffer[] {
    const {keys} = this.#get(id)
    const sorted = inOrder(keys)
    for (const key of keys) this.#leaseOf.delete(key)
    this.#leases.delete(id)
    return sorted
  }

  /** Gives a lease its full time again. @returns the TTL in seconds; 0 if it is not there */
  keepAlive(id: bigint): number {
    const lease = this.#leases.get(id)
    if (lease === undefined) return 0
    lease.expiresAtMs = this.#endOf(lease)
    return lease.ttlSeconds
  }

  /** Undefined if the lease is not there. */
  remaining(id: bigint): Remaining | undefined {
    const lease = this.#leases.get(id)
    if (lease === undefined) return undefined
    const leftMs = lease.expiresAtMs - clockGrainMs - this.#clock.elapsedMs()
    return {
      ttlSeconds: lease.ttlSeconds,
      leftSeconds: Math.max(0, Math.floor(leftMs / 1000)),
      keys: inOrder(lease.keys),
    }
  }

  /** All leases, the one first that expires first. */
  all(): readonly Lease[] {
    return [...this.#leases.values()].sort((one, other) => one.expiresAtMs - other.expiresAtMs)
  }

  /** The leases whose time is over. */
  due(): readonly bigint[] {
    const nowMs = this.#clock.elapsedMs()
    if (nowMs < this.#nextExpiryAtMs) return []
    const leases = [...this.#leases.values()]
    const due = leases.filter(({expiresAtMs}) => expiresAtMs <= nowMs)
    this.#nextExpiryAtMs = Infinity
    for (const {expiresAtMs} of leases)
      if (expiresAtMs > nowMs) this.#nextExpiryAtMs = Math.min(this.#nextExpiryAtMs, expiresAtMs)
    return due.map(({id}) => id)
  }

  /** When to look for leases that are due: no lease expires before. */
  get nextExpiryAtMs(): number {
    return this.#nextExpiryAtMs
  }

  /** Notes which key is on which lease now. */
  follow(events: readonly Event[]): void {
    for (const {type, kv} of events) {
      const text = keyText(kv.key)
      this.#detach(text)
      if (type === 'put') this.#attach(text, kv.lease)
    }
  }

  #add(lease: Lease): void {
    const expiresAtMs = this.#endOf(lease)
    this.#leases.set(lease.id, {...lease, expiresAtMs, keys: new Set()})
    this.#nextExpiryAtMs = Math.min(this.#nextExpiryAtMs, expiresAtMs)
  }

  #endOf({ttlSeconds}: Lease): number {
    return this.#clock.elapsedMs() + ttlSeconds * 1000 + clockGrainMs
  }

  #get(id: bigint): Tenure {
    const lease = this.#leases.get(id)
    if (lease === undefined) throw refusals.leaseNotFound()
    return lease
  }

  #attach(text: KeyText, id: bigint): void {
    if (id === 0n) return
    this.#get(id).keys.add(text)
    this.#leaseOf.set(text, id)
  }

  #detach(text: KeyText): void {
    const id = this.#leaseOf.get(text)
    if (id === undefined) return
    this.#leases.get(id)?.keys.delete(text)
    this.#leaseOf.delete(text)
  }

  #newId(): bigint {
    for (;;) {
      const [random = 0n] = crypto.getRandomValues(new BigUint64Array(1))
      const id = BigInt.asUintN(63, random)
      if (id !== 0n && !this.has(id)) return id
    }
  }
}

function inOrder(keys: ReadonlySet<KeyText>): Buffer[] {
  return [...keys].sort().map((key) => Buffer.from(key, 'latin1'))
}
