import {Clock} from '../../../src/lib/core/clock.ts'
import type {HeldLock} from '../../../src/lib/core/heldLock.ts'
import {type LeaseId, leaseIdFrom} from '../../../src/lib/core/identifiers.ts'
import {type Acquisition, type LockNews, type LockRequest, acquire} from '../../../src/lib/core/lock.ts'
import {lockKeys, rawLockKeys} from '../../../src/lib/core/lockName.ts'
import {timeline} from '../../../src/lib/core/timeline.ts'
import {FakeClock} from '../../support/fakeClock.ts'
import {FakeEtcd, type FakeKey} from '../../support/fakeEtcd.ts'
import {FakeStore} from '../../support/fakeStore.ts'

const keys = lockKeys('leash/', 'nightly')
export const markKey = 'leash/held/lock/nightly'
export const {queuePrefix} = keys

/** The timeline of a request that says nothing else: TTL 30 s. */
export const line = timeline(30_000, {lockDelayMs: 0})

export const forever: LockRequest['wait'] = {kind: 'upTo', ms: Infinity}
export const notAtAll: LockRequest['wait'] = {kind: 'none'}

/** What a test wants to be different. */
export type Wish = Partial<LockRequest> & {showQueue?: boolean}

const holder = {host: 'h', user: 'u', pid: 1}
let leases = 0

/** One etcd, time, and whoever wants the lock. */
export class World {
  readonly time = new FakeClock()
  readonly clock = new Clock(this.time)
  readonly etcd = new FakeEtcd(this.clock)

  client(): Client {
    return new Client(this)
  }

  /** The tickets, the first one first. */
  get queue(): FakeKey[] {
    return this.etcd.under(queuePrefix)
  }

  get mark(): FakeKey | undefined {
    return this.etcd.get(markKey)
  }

  /** Somebody whose process is gone, without a clean end, and whose lease has run out or was revoked. */
  async vanish(): Promise<void> {
    const lock = await this.client().held()
    this.etcd.revoke(lock.lease)
  }
}

/** One `leash`, as far as core goes. */
export class Client {
  readonly news: LockNews[] = []
  readonly store: FakeStore
  readonly #world: World
  readonly #control = new AbortController()

  constructor(world: World) {
    this.#world = world
    this.store = new FakeStore(world.clock, world.etcd)
  }

  acquire({showQueue = false, ...wish}: Wish = {}): Promise<Acquisition> {
    const request: LockRequest = {
      locks: [keys],
      ttlMs: 30_000,
      terms: {lockDelayMs: 0},
      wait: forever,
      connectTimeoutMs: 10_000,
      holder,
      ...wish,
    }
    const {clock} = this.#world
    const newLeaseId = (): LeaseId => leaseIdFrom(Uint8Array.of(0, 0, 0, 0, 0, 0, ++leases >> 8, leases))
    const tell = (news: LockNews): number => this.news.push(news)
    const ports = {store: this.store, clock, newLeaseId, tell, showQueue}
    return acquire(request, ports, this.#control.signal)
  }

  /** The lock, which must be there to take. */
  async held(wish: Wish = {}): Promise<HeldLock> {
    const acquisition = await this.#world.time.passing(this.acquire(wish))
    if (acquisition.is !== 'held') throw new Error(`not held but ${acquisition.is}`)
    return acquisition.lock
  }

  interrupt(reason: unknown): void {
    this.#control.abort(reason)
  }

  /** What was told, without the details. */
  get told(): string[] {
    return this.news.map(({kind}) => kind)
  }
}

/** Of the first lock. */
export const fenceOf = ({places: [{ticket}]}: HeldLock): bigint => ticket.createRevision

/** What has become of a promise so far. */
export interface Watched<T> {
  value?: T
  error?: unknown
  pending: boolean
}

export function watch<T>(promise: Promise<T>): Watched<T> {
  const watched: Watched<T> = {pending: true}
  promise.then(
    (value) => Object.assign(watched, {value, pending: false}),
    (error: unknown) => Object.assign(watched, {error, pending: false}),
  )
  return watched
}

export const rawKeys = rawLockKeys('services/api')
