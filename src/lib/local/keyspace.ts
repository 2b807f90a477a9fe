import {History} from './history.ts'
import {type KeyText, boundsOf, keyText} from './sortedKeys.ts'
import {duplicateKeys} from './txnCheck.ts'
import {compareHolds, pickedKeys} from './selection.ts'
import type {Contents} from './storage.ts'
import {
  type DeleteAnswer,
  type DeleteRequest,
  type Event,
  type KeyRange,
  type KeyValue,
  type Operation,
  type OperationAnswer,
  type PutAnswer,
  type PutRequest,
  type RangeAnswer,
  type RangeRequest,
  type TxnAnswer,
  type TxnRequest,
  refusals,
} from './values.ts'

/** What one revision changed; no events if nothing did. */
export interface Change {
  readonly revision: number
  readonly events: readonly Event[]
}

/** An answer, and what had to change for it. */
export interface Changed<Answer> {
  readonly answer: Answer
  readonly change: Change
}

/** Whether a lease is there. */
export type LeaseLookup = (lease: bigint) => boolean

/** Which side each transaction takes, before anything is changed: nested ones in the order of their operations. */
interface Path {
  readonly succeeded: boolean
  readonly operations: readonly Operation[]
  readonly nested: readonly Path[]
}

const nothing = Buffer.alloc(0)

function deletionOf(key: Buffer, revision: number): Event {
  const kv = {key, value: nothing, createRevision: 0, modRevision: revision, version: 0, lease: 0n}
  return {type: 'delete', kv}
}

/** A store without keys has this revision, as etcd's. */
export const firstRevision = 1

/**
 * etcd's multi-version store: each write that changes anything has the next revision. A request is refused before it changes
 * anything. What changes is in memory only; whoever calls makes it durable before it is told to anybody.
 */
export class Keyspace {
  readonly #history: History
  #revision: number

  /** @param keys in any order; of their past nothing is known but what the last revision changed */
  constructor({revision, keys, lastDeletions}: Omit<Contents, 'leases'>) {
    this.#revision = revision
    const sorted = keys
      .map((kv) => ({text: keyText(kv.key), kv}))
      .sort((one, other) => (one.text < other.text ? -1 : 1))
    const lastPuts = keys.filter(({modRevision}) => modRevision === revision)
    const events = [
      ...lastDeletions.map((key) => deletionOf(key, revision)),
      ...lastPuts.map((kv): Event => ({type: 'put', kv})),
    ]
    this.#history = new History(sorted, {revision, events})
  }

  /** The latest. */
  get revision(): number {
    return this.#revision
  }

  /** Below it nothing can be read. */
  get compactedRevision(): number {
    return this.#history.compactedRevision
  }

  /** All keys that are there, in order. */
  keys(): readonly KeyValue[] {
    return this.#history.present()
  }

  /** A key as it was after a revision; undefined also if that was forgotten. */
  at(key: Buffer, revision: number): KeyValue | undefined {
    return revision < this.compactedRevision ? undefined : this.#history.at(keyText(key), revision)
  }

  /** What happened from a revision on, which is not below the compacted one. */
  since(revision: number): readonly Change[] {
    return this.#history.since(revision)
  }

  /** @throws Refusal for a revision that is compacted or to come */
  range(request: RangeRequest): RangeAnswer {
    this.#checkRevision(request.revision)
    return this.#range(request, this.#revision)
  }

  /** @throws Refusal for a lease or, if it is to keep something of it, a key that is not there */
  put(request: PutRequest, hasLease: LeaseLookup): Changed<PutAnswer> {
    // In a transaction etcd looks for the key first.
    if (request.lease !== 0n && !hasLease(request.lease)) throw refusals.leaseNotFound()
    this.#checkPut(request, hasLease)
    return this.#write((events) => this.#put(request, events))
  }

  delete(request: DeleteRequest): Changed<DeleteAnswer> {
    return this.#write((events) => this.#delete(request, events))
  }

  /** Deletes those of the keys that are there at one revision. */
  deleteKeys(keys: readonly Buffer[]): Change {
    const deletion = (events: Event[]): void => {
      for (const key of keys) this.#delete({key, rangeEnd: nothing, prevKv: false}, events)
    }
    return this.#write(deletion).change
  }

  /** All that it changes has one revision. @throws Refusal as its operations; for a key that is put twice, or also deleted */
  txn(request: TxnRequest, hasLease: LeaseLookup): Changed<TxnAnswer> {
    duplicateKeys(request.success)
    duplicateKeys(request.failure)
    const path = this.#path(request)
    this.#checkPath(path, (operation) => {
      if (operation.is === 'put') this.#checkPut(operation.request, hasLease)
    })
    this.#checkPath(path, (operation) => {
      if (operation.is === 'range') this.#checkRevision(operation.request.revision)
    })
    const {answer, change} = this.#write((events) => this.#apply(path, events))
    return {answer: {...answer, revision: this.#revision}, change}
  }

  /** Forgets what is older than a revision. @throws Refusal for one that is compacted or to come */
  compact(revision: number): void {
    if (revision <= this.compactedRevision) throw refusals.compacted()
    if (revision > this.#revision) throw refusals.futureRevision()
    this.#history.compact(revision)
  }

  #write<Answer>(work: (events: Event[]) => Answer): Changed<Answer> {
    const events: Event[] = []
    const answer = work(events)
    const change = {revision: this.#revision + (events.length > 0 ? 1 : 0), events}
    if (events.length > 0) {
      this.#revision = change.revision
      this.#history.end(change)
    }
    return {answer, change}
  }

  #checkRevision(revision: number): void {
    if (revision > this.#revision) throw refusals.futureRevision()
    if (revision > 0 && revision < this.compactedRevision) throw refusals.compacted()
  }

  #checkPut({key, lease, ignoreValue, ignoreLease}: PutRequest, hasLease: LeaseLookup): void {
    if ((ignoreValue || ignoreLease) && this.#history.now(keyText(key)) === undefined)
      throw refusals.keyNotFound()
    if (lease !== 0n && !hasLease(lease)) throw refusals.leaseNotFound()
  }

  #path({compare, success, failure}: TxnRequest): Path {
    const succeeded = compare.every((one) => compareHolds(one, this.#present(one)))
    const operations = succeeded ? success : failure
    const nested = operations.flatMap((one) => (one.is === 'txn' ? [this.#path(one.request)] : []))
    return {succeeded, operations, nested}
  }

  #checkPath({operations, nested}: Path, check: (operation: Operation) => void): void {
    const inner = nested.values()
    for (const operation of operations) {
      if (operation.is === 'txn') this.#checkPath(inner.next().value as Path, check)
      else check(operation)
    }
  }

  #apply({succeeded, operations, nested}: Path, events: Event[]): TxnAnswer {
    const inner = nested.values()
    const responses = operations.flatMap((operation): OperationAnswer[] => {
      switch (operation.is) {
        case 'range': {
          const revision = this.#revision + (events.length > 0 ? 1 : 0)
          return [{is: 'range', answer: this.#range(operation.request, revision)}]
        }
        case 'put':
          return [{is: 'put', answer: this.#put(operation.request, events)}]
        case 'delete':
          return [{is: 'delete', answer: this.#delete(operation.request, events)}]
        case 'txn':
          return [{is: 'txn', answer: this.#apply(inner.next().value as Path, events)}]
        case 'nothing':
          return []
      }
    })
    return {revision: 0, succeeded, responses}
  }

  /** @param revision the present one, as this request sees it */
  #range(request: RangeRequest, revision: number): RangeAnswer {
    const past = request.revision > 0 && request.revision < revision ? request.revision : undefined
    const found = this.#history.within(boundsOf(request), past)
    return {revision, ...pickedKeys(request, found)}
  }

  /** The key may be gone within the same transaction, where etcd would end: then nothing is kept of it. */
  #put({key, value, lease, prevKv, ignoreValue, ignoreLease}: PutRequest, events: Event[]): PutAnswer {
    const text = keyText(key)
    const before = this.#history.now(text)
    const revision = this.#revision + 1
    // Copies: what a request brought is a part of all that came with it, which would stay as long.
    const kv: KeyValue = {
      key: Buffer.from(key),
      value: ignoreValue ? (before?.value ?? nothing) : Buffer.from(value),
      lease: ignoreLease ? (before?.lease ?? 0n) : lease,
      createRevision: before?.createRevision ?? revision,
      modRevision: revision,
      version: (before?.version ?? 0) + 1,
    }
    this.#add(text, {type: 'put', kv}, events)
    return {revision, ...(prevKv && {prevKv: before})}
  }

  #delete(request: DeleteRequest, events: Event[]): DeleteAnswer {
    const found = this.#present(request)
    const revision = this.#revision + 1
    for (const {key} of found) {
      this.#add(keyText(key), deletionOf(key, revision), events)
    }
    return {
      revision: events.length > 0 ? revision : this.#revision,
      deleted: found.length,
      prevKvs: request.prevKv ? found : [],
    }
  }

  #add(text: KeyText, event: Event, events: Event[]): void {
    this.#history.add(text, event)
    events.push(event)
  }

  #present(range: KeyRange): KeyValue[] {
    return this.#history.within(boundsOf(range))
  }
}
