import type {Clock} from '../../src/lib/core/clock.ts'

/** A key as the fake keeps it. */
export interface FakeKey {
  readonly key: string
  readonly value: string
  readonly createRevision: bigint
  /** How often it was put since it was created. */
  readonly version: number
  readonly lease?: bigint
}

interface Lease {
  ttlMs: number
  expiresAtMs: number
}

interface Watch {
  readonly isMeant: (key: string) => boolean
  readonly afterRevision: bigint
  readonly wake: (seen: 'deleted' | 'unknown') => void
}

/** The part of etcd that the store's fake needs, in memory and without any failure: keys, revisions, leases, watches. */
export class FakeEtcd {
  /** Smaller TTLs are raised to this. */
  minTtlMs = 2000
  term = 2n
  readonly #clock: Clock
  readonly #keys = new Map<string, FakeKey>()
  readonly #leases = new Map<bigint, Lease>()
  readonly #deletions: {key: string; revision: bigint}[] = []
  readonly #watches = new Set<Watch>()
  #revision = 1n
  #compactedRevision = 0n
  #cancelExpiry: () => void = () => {}

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get revision(): bigint {
    this.#expire()
    return this.#revision
  }

  /** Lease ids. */
  get leases(): bigint[] {
    this.#expire()
    return [...this.#leases.keys()]
  }

  /** The TTL granted; undefined if there is such a lease already. */
  grant(lease: bigint, ttlMs: number): number | undefined {
    this.#expire()
    if (this.#leases.has(lease)) return undefined
    const raisedMs = Math.max(ttlMs, this.minTtlMs)
    this.#leases.set(lease, {ttlMs: raisedMs, expiresAtMs: this.#clock.elapsedMs() + raisedMs})
    this.#awaitExpiry()
    return raisedMs
  }

  /** The TTL, counted anew; 0 if there is no such lease. */
  keepAlive(lease: bigint): number {
    this.#expire()
    const found = this.#leases.get(lease)
    if (found === undefined) return 0
    found.expiresAtMs = this.#clock.elapsedMs() + found.ttlMs
    return found.ttlMs
  }

  /** The TTL, not counted anew: what a leader answers that was deposed and does not know it. */
  ttlOf(lease: bigint): number {
    return this.#leases.get(lease)?.ttlMs ?? 0
  }

  /** When the lease ends unless it is renewed. */
  expiryOf(lease: bigint): number | undefined {
    return this.#leases.get(lease)?.expiresAtMs
  }

  /** Ends a lease, with all its keys at one revision. */
  revoke(lease: bigint): void {
    if (!this.#leases.delete(lease)) return
    const bound = [...this.#keys.values()].filter((key) => key.lease === lease).map(({key}) => key)
    this.remove(...bound)
  }

  hasLease(lease: bigint): boolean {
    this.#expire()
    return this.#leases.has(lease)
  }

  get(key: string): FakeKey | undefined {
    this.#expire()
    return this.#keys.get(key)
  }

  /** All keys below a prefix, the oldest first. */
  under(prefix: string): FakeKey[] {
    this.#expire()
    return [...this.#keys.values()]
      .filter(({key}) => key.startsWith(prefix))
      .sort((one, other) => Number(one.createRevision - other.createRevision))
  }

  /** Puts keys at one revision, as a transaction does. A key that is there keeps its create revision. */
  put(...keys: readonly {key: string; value: string; lease?: bigint}[]): void {
    this.#expire()
    this.#revision++
    for (const {key, value, lease} of keys) {
      const before = this.#keys.get(key)
      const createRevision = before?.createRevision ?? this.#revision
      const version = (before?.version ?? 0) + 1
      this.#keys.set(key, {key, value, createRevision, version, ...(lease !== undefined && {lease})})
    }
  }

  /** Removes those of the keys that are there, at one revision. */
  remove(...keys: readonly string[]): void {
    const found = keys.filter((key) => this.#keys.delete(key))
    if (found.length === 0) return
    this.#revision++
    for (const key of found) this.#deletions.push({key, revision: this.#revision})
    this.#wakeWatches()
  }

  /** Forgets all history before the present. */
  compact(): void {
    this.#compactedRevision = this.revision
  }

  /** Calls `wake` when the key was deleted above a revision, or when that is no longer known; returns what ends it. */
  watch(
    isMeant: (key: string) => boolean,
    afterRevision: bigint,
    wake: (seen: 'deleted' | 'unknown') => void,
  ): () => void {
    this.#expire()
    const watch = {isMeant, afterRevision, wake}
    const seen = this.#seen(watch)
    if (seen !== undefined) wake(seen)
    else this.#watches.add(watch)
    return () => this.#watches.delete(watch)
  }

  #wakeWatches(): void {
    for (const watch of this.#watches) {
      const deleted = this.#wasDeleted(watch)
      if (!deleted) continue
      this.#watches.delete(watch)
      watch.wake('deleted')
    }
  }

  /** A watch that stands has been told everything, so that only a new one can miss what was compacted. */
  #seen(watch: Watch): 'deleted' | 'unknown' | undefined {
    if (watch.afterRevision + 1n < this.#compactedRevision) return 'unknown'
    return this.#wasDeleted(watch) ? 'deleted' : undefined
  }

  #wasDeleted({isMeant, afterRevision}: Watch): boolean {
    return this.#deletions.some((one) => isMeant(one.key) && one.revision > afterRevision)
  }

  #expire(): void {
    const nowMs = this.#clock.elapsedMs()
    for (const [lease, {expiresAtMs}] of this.#leases) if (expiresAtMs <= nowMs) this.revoke(lease)
  }

  #awaitExpiry(): void {
    this.#cancelExpiry()
    this.#cancelExpiry = () => {}
    const next = Math.min(...[...this.#leases.values()].map(({expiresAtMs}) => expiresAtMs))
    if (next === Infinity) return
    this.#cancelExpiry = this.#clock.schedule(next - this.#clock.elapsedMs(), () => {
      this.#expire()
      this.#awaitExpiry()
    })
  }
}
