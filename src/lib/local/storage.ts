import type {KeyValue, Lease} from './values.ts'

/** All that must survive. */
export interface Contents {
  readonly revision: number
  readonly keys: readonly KeyValue[]
  readonly leases: readonly Lease[]
  /** The keys that the last revision deleted: a watch may have been told of all but that one. */
  readonly lastDeletions: readonly Buffer[]
}

/** What one request, or the end of a lease, changes. */
export interface Batch {
  /** The latest, which is that of the puts if there are any. */
  readonly revision: number
  readonly puts: readonly KeyValue[]
  readonly deletions: readonly Buffer[]
  readonly granted: readonly Lease[]
  readonly revoked: readonly bigint[]
}

/** Another engine has the store. */
export class Superseded extends Error {
  override readonly name = 'Superseded'
}

/**
 * A store that outlives the engine, opened under an epoch of its own: a number above those of all engines before. From the
 * moment on at which a storage is opened, no earlier one acknowledges anything any more.
 */
export interface Storage {
  readonly epoch: number
  /** What was there when it was opened. */
  readonly contents: Contents
  /** Whether no other engine has opened the store since. @throws LeashError if that cannot be told */
  isCurrent(): boolean
  /**
   * Takes a change, which is on the disk as soon as `settled` says so; before it are all those that were taken before. Changes
   * that are taken while others are being written are written together.
   */
  append(batch: Batch): void
  /**
   * Resolves when everything that was taken so far is on the disk. Rejects with `Superseded` when it was written too late; with
   * `LeashError` when it could not be written. After that nothing is taken any more, and it always rejects.
   */
  settled(): Promise<void>
  /** Lets go of the store, after what was taken. */
  close(): Promise<void>
}
