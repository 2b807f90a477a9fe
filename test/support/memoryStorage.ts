import {type Batch, type Contents, type Storage, Superseded} from '../../src/lib/local/storage.ts'
import type {KeyValue, Lease} from '../../src/lib/local/values.ts'
import {settled} from './fakeClock.ts'

/** What outlives the storages that are opened on it, as a disk does. */
export class MemoryDisk {
  #epoch = 0
  #revision = 1
  readonly #keys = new Map<string, KeyValue>()
  readonly #leases = new Map<bigint, Lease>()
  #lastDeletions: Buffer[] = []

  /** Takes the store from whoever had it. */
  open(): Storage {
    const epoch = ++this.#epoch
    let written = Promise.resolve()
    return {
      epoch,
      contents: this.#contents(),
      isCurrent: () => this.#epoch === epoch,
      append: (batch) => {
        written = written.then(settled).then(() => {
          if (this.#epoch !== epoch) throw new Superseded('another engine has the store')
          this.#write(batch)
        })
        written.catch(() => {})
      },
      settled: () => written,
      close: () => written.catch(() => {}),
    }
  }

  #contents(): Contents {
    return {
      revision: this.#revision,
      keys: [...this.#keys.values()],
      leases: [...this.#leases.values()],
      lastDeletions: this.#lastDeletions,
    }
  }

  #write({revision, puts, deletions, granted, revoked}: Batch): void {
    this.#lastDeletions = [...(revision > this.#revision ? [] : this.#lastDeletions), ...deletions]
    this.#revision = revision
    for (const kv of puts) this.#keys.set(kv.key.toString('latin1'), kv)
    for (const key of deletions) this.#keys.delete(key.toString('latin1'))
    for (const lease of granted) this.#leases.set(lease.id, lease)
    for (const id of revoked) this.#leases.delete(id)
  }
}

/** A storage that takes everything, and has it on the disk, or not, when the test says so. */
export class HeldStorage implements Storage {
  readonly epoch = 1
  readonly contents = {revision: 1, keys: [], leases: [], lastDeletions: []}
  taken = 0
  isClosed = false
  release: () => void = () => {}
  fail: (error: Error) => void = () => {}
  #settled: Promise<void> = Promise.resolve()

  isCurrent(): boolean {
    return true
  }

  append(): void {
    this.taken++
    this.#settled = new Promise((resolve, reject) => Object.assign(this, {release: resolve, fail: reject}))
    this.#settled.catch(() => {})
  }

  settled(): Promise<void> {
    return this.#settled
  }

  close(): Promise<void> {
    this.isClosed = true
    return Promise.resolve()
  }
}
