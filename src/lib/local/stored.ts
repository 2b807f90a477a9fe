import {firstRevision} from './keyspace.ts'
import {type KeyText, keyText} from './sortedKeys.ts'
import type {Batch, Contents} from './storage.ts'
import type {KeyValue, Lease} from './values.ts'

/** So many keys in one batch of a snapshot: some hundred kilobytes, mostly. */
const keysAtOnce = 1000

/** What all batches so far have made. */
export class Stored {
  #revision = firstRevision
  readonly #keys = new Map<KeyText, KeyValue>()
  readonly #leases = new Map<bigint, Lease>()
  #lastDeletions: Buffer[] = []

  add({revision, puts, deletions, granted, revoked}: Batch): void {
    if (revision > this.#revision) this.#lastDeletions = []
    this.#revision = revision
    this.#lastDeletions.push(...deletions)
    for (const kv of puts) this.#keys.set(keyText(kv.key), kv)
    for (const key of deletions) this.#keys.delete(keyText(key))
    for (const lease of granted) this.#leases.set(lease.id, lease)
    for (const id of revoked) this.#leases.delete(id)
  }

  get contents(): Contents {
    return {
      revision: this.#revision,
      keys: [...this.#keys.values()],
      leases: [...this.#leases.values()],
      lastDeletions: [...this.#lastDeletions],
    }
  }

  /** Batches that make the same of nothing. */
  *batches(): Generator<Batch> {
    const {revision, keys, leases, lastDeletions} = this.contents
    const none = {revision, puts: [], deletions: [], revoked: []}
    yield {...none, granted: leases, deletions: lastDeletions}
    for (let at = 0; at < keys.length; at += keysAtOnce)
      yield {...none, granted: [], puts: keys.slice(at, at + keysAtOnce)}
  }
}
