import type {Batch} from './storage.ts'
import type {KeyValue, Lease} from './values.ts'

/** Batches as bytes: numbers are doubles, lease ids int64, bytes after their length, lists after their count; little-endian. */

class Writer {
  readonly #parts: Buffer[] = []

  number(value: number): void {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(value)
    this.#parts.push(bytes)
  }

  int64(value: bigint): void {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(value)
    this.#parts.push(bytes)
  }

  bytes(value: Buffer): void {
    this.#count(value.length)
    this.#parts.push(value)
  }

  list<Item>(items: readonly Item[], write: (item: Item) => void): void {
    this.#count(items.length)
    items.forEach(write)
  }

  get all(): Buffer {
    return Buffer.concat(this.#parts)
  }

  #count(value: number): void {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(value)
    this.#parts.push(bytes)
  }
}

class Reader {
  readonly #from: Buffer
  #at = 0

  constructor(from: Buffer) {
    this.#from = from
  }

  get isAtEnd(): boolean {
    return this.#at === this.#from.length
  }

  number(): number {
    return this.#from.readDoubleLE(this.#skip(8))
  }

  int64(): bigint {
    return this.#from.readBigInt64LE(this.#skip(8))
  }

  /** A copy: what it is read from may be large, and go. */
  bytes(): Buffer {
    const length = this.#count()
    const at = this.#skip(length)
    return Buffer.from(this.#from.subarray(at, at + length))
  }

  list<Item>(read: () => Item): Item[] {
    return Array.from({length: this.#count()}, read)
  }

  #count(): number {
    return this.#from.readUInt32LE(this.#skip(4))
  }

  #skip(bytes: number): number {
    const at = this.#at
    this.#at += bytes
    return at
  }
}

export function encodeBatch({revision, puts, deletions, granted, revoked}: Batch): Buffer {
  const writer = new Writer()
  writer.number(revision)
  writer.list(puts, (kv) => {
    writer.number(kv.createRevision)
    writer.number(kv.modRevision)
    writer.number(kv.version)
    writer.int64(kv.lease)
    writer.bytes(kv.key)
    writer.bytes(kv.value)
  })
  writer.list(deletions, (key) => writer.bytes(key))
  writer.list(granted, ({id, ttlSeconds}) => {
    writer.int64(id)
    writer.number(ttlSeconds)
  })
  writer.list(revoked, (id) => writer.int64(id))
  return writer.all
}

/** The batches in bytes whose checksum was right. */
export function decodeBatches(bytes: Buffer): Batch[] {
  const reader = new Reader(bytes)
  const batches: Batch[] = []
  while (!reader.isAtEnd)
    batches.push({
      revision: reader.number(),
      puts: reader.list((): KeyValue => {
        const [createRevision, modRevision, version] = [reader.number(), reader.number(), reader.number()]
        const lease = reader.int64()
        return {createRevision, modRevision, version, lease, key: reader.bytes(), value: reader.bytes()}
      }),
      deletions: reader.list(() => reader.bytes()),
      granted: reader.list((): Lease => ({id: reader.int64(), ttlSeconds: reader.number()})),
      revoked: reader.list(() => reader.int64()),
    })
  return batches
}
