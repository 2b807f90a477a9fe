import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import type {Clock} from '../../src/lib/core/clock.ts'
import {type LeaseId, leaseHex, leaseIdFrom} from '../../src/lib/core/identifiers.ts'
import {type LockKeys, lockKeys} from '../../src/lib/core/lockName.ts'
import type {LeaseStore} from '../../src/lib/core/ports.ts'
import type {QueueView} from '../../src/lib/core/queue.ts'
import type {Ticket} from '../../src/lib/core/ticket.ts'
import {besideContract} from './besideContract.ts'
import {queueContract} from './queueContract.ts'
import {electionContract} from './electionContract.ts'
import {endContract} from './endContract.ts'
import {renewalContract} from './renewalContract.ts'
import {severalContract} from './severalContract.ts'

/** A method whose answer can be lost on purpose. */
export type Losable = 'grant' | 'enqueue' | 'declareHold' | 'proclaim' | 'dequeue' | 'revoke'

/** A key as somebody beside the store sees it. */
export interface SeenKey {
  key: string
  value: string
  createRevision: bigint
}

/** A store, and a second way into what is behind it. */
export interface Harness extends AsyncDisposable {
  store: LeaseStore
  /** The clock that the store stamps with. */
  clock: Clock
  /** Lets time pass, where it has to be told, until the promise is settled. */
  passing<T>(promise: Promise<T>): Promise<T>
  put(key: string, value: string, lease?: LeaseId): Promise<void>
  remove(key: string): Promise<void>
  keysUnder(prefix: string): Promise<SeenKey[]>
  leases(): Promise<string[]>
  compact(): Promise<void>
  /** The answer to the next request of this kind is lost after it was committed. */
  loseAnswer(method: Losable): void
}

/** A harness and what each promise of the contract needs of its own. */
export class Stage {
  readonly harness: Harness
  readonly keys: LockKeys & {markKey: string}

  constructor(harness: Harness, name: string) {
    this.harness = harness
    const keys = lockKeys('contract/', name)
    if (keys.markKey === undefined) throw new Error('a named lock has a mark')
    this.keys = {...keys, markKey: keys.markKey}
  }

  get store(): LeaseStore {
    return this.harness.store
  }

  readonly signal = new AbortController().signal

  /** A lease that etcd granted. */
  async lease(ttlSeconds = 60): Promise<LeaseId> {
    const lease = newLease()
    await this.store.grant(lease, ttlSeconds, this.signal)
    return lease
  }

  async enqueue(lease: LeaseId, {onlyIfNobody = false, value = 'value'} = {}): Promise<QueueView> {
    const views = await this.store.enqueue({queues: [this.keys], lease, value, onlyIfNobody}, this.signal)
    const [view] = views
    if (view === undefined || views.length > 1) throw new Error(`${views.length} views of one queue`)
    return view
  }

  /** A ticket in the queue. */
  async ticket(): Promise<Ticket> {
    const {own} = await this.enqueue(await this.lease())
    if (own === undefined) throw new Error('a ticket was put and is not there')
    return own
  }

  look(ticket: Ticket): ReturnType<LeaseStore['look']> {
    return this.store.look(ticket, this.keys, this.signal)
  }

  /** The tickets, the first one first. */
  async queue(): Promise<SeenKey[]> {
    return this.harness.keysUnder(this.keys.queuePrefix)
  }

  async mark(): Promise<SeenKey | undefined> {
    return (await this.harness.keysUnder(this.keys.markKey)).find(({key}) => key === this.keys.markKey)
  }

  async hasLease(lease: LeaseId): Promise<boolean> {
    return (await this.harness.leases()).includes(leaseHex(lease))
  }
}

export const newLease = (): LeaseId => leaseIdFrom(crypto.getRandomValues(new Uint8Array(8)))

/** What every lease store promises: the sentences of `core/ports.ts`, one by one. */
export function storeContract(name: string, makeHarness: () => Promise<Harness>): void {
  describe(name, () => {
    let harness: Harness
    let count = 0
    beforeAll(async () => {
      harness = await makeHarness()
    })
    afterAll(async () => {
      await harness[Symbol.asyncDispose]()
    })
    const stage = (): Stage => new Stage(harness, `queue ${++count}/%`)

    grantContract(stage)
    queueContract(stage)
    renewalContract(stage)
    endContract(stage)
    severalContract(stage)
    besideContract(stage)
    electionContract(stage)
  })
}

function grantContract(stage: () => Stage): void {
  describe('grant', () => {
    test('grants the TTL asked for, counted from before the request left', async () => {
      const {store, harness, signal} = stage()
      const beforeMs = harness.clock.elapsedMs()
      const granting = store.grant(newLease(), 60, signal)
      const sentByMs = harness.clock.elapsedMs()
      const {ttlMs, sentAtMs} = await granting
      expect(ttlMs).toBe(60_000)
      expect(sentAtMs).toBeGreaterThanOrEqual(beforeMs)
      expect(sentAtMs).toBeLessThanOrEqual(sentByMs)
    })

    test('grants a lease with the id that was chosen', async () => {
      const here = stage()
      const lease = newLease()
      await here.store.grant(lease, 60, here.signal)
      expect(await here.hasLease(lease)).toBe(true)
    })

    test('says so when the TTL was raised to the minimum', async () => {
      const {store, signal} = stage()
      expect((await store.grant(newLease(), 1, signal)).ttlMs).toBe(2000)
    })

    test('counts from the first attempt when the lease turns out to be there', async () => {
      const {store, harness, signal} = stage()
      harness.loseAnswer('grant')
      const granting = store.grant(newLease(), 60, signal)
      const firstSentByMs = harness.clock.elapsedMs()
      const {ttlMs, sentAtMs} = await harness.passing(granting)
      expect(ttlMs).toBe(60_000)
      expect(sentAtMs).toBeLessThanOrEqual(firstSentByMs)
      expect(store.lastFailure).not.toMatch(/no answer$/)
    })
  })
}
