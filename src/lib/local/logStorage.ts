import {type Stats, constants, statSync} from 'node:fs'
import {type FileHandle, open, rename, rm} from 'node:fs/promises'
import path from 'node:path'
import {LeashError} from '../core/errors.ts'
import {encodeBatch} from './batchCode.ts'
import {frame, leastRoomBytes} from './frames.ts'
import {type Batch, type Contents, type Storage, Superseded} from './storage.ts'
import {unwritable} from './storageFaults.ts'
import {
  claim,
  latestEpoch,
  ownerOnly,
  readLatest,
  removeEarlier,
  storeName,
  title,
  titleBytes,
  withdraw,
} from './storeFiles.ts'
import type {Stored} from './stored.ts'

/**
 * The file grows by so much at once, with zeros that are synced before anything is written over them: then a sync of what is
 * written has no size and no blocks to sync with it, and a file that is too short was cut.
 */
const growthBytes = 1024 * 1024
/** A log is replaced by a snapshot when it is longer than this, and twice as long as the snapshot that it began with. */
const leastLogBytes = 4 * 1024 * 1024

/**
 * Opens the store in `directory` under the next epoch.
 *
 * Each epoch has a file, which is empty at first: making it is what supersedes all earlier epochs. Only then the latest file
 * that is not empty is read, and all that it says becomes the beginning of the new one. An earlier engine acknowledges what it
 * has written after it has seen that there is no later epoch's file: so either it was written before this one was made, and is
 * read here, or it is not acknowledged.
 *
 * @throws LeashError if the directory cannot be read or written, the disk is full, or the file is damaged or of another version;
 *   then all files are as they were
 */
export async function openLogStorage(directory: string): Promise<Storage> {
  let claimed: string | undefined
  try {
    const epoch = await claim(directory)
    claimed = path.join(directory, storeName(epoch))
    const stored = await readLatest(directory, epoch)
    const storage = new LogStorage({directory, epoch, stored})
    try {
      await storage.begin()
      await removeEarlier(directory, epoch)
    } catch (error) {
      // A later one removes what was to become the file of this one, which is no fault of the disk.
      if (latestEpoch(directory) === epoch) throw error
    }
    return storage
  } catch (error) {
    if (claimed !== undefined) await withdraw(claimed)
    throw error instanceof LeashError ? error : unwritable(directory, error)
  }
}

class LogStorage implements Storage {
  readonly epoch: number
  readonly contents: Contents
  readonly #directory: string
  readonly #name: string
  readonly #stored: Stored
  #file: FileHandle | undefined
  /** Which file it is; two while one is put in the place of the other. */
  #identities: readonly string[] = []
  /** Where the next frame goes, how far the file reaches, and how long it was with nothing but a snapshot. */
  #end = 0
  #size = 0
  #snapshotEnd = 0
  #taken: Buffer[] = []
  /** The write of what is taken, which has not begun. */
  #next: Promise<void> | undefined
  #written: Promise<void> = Promise.resolve()

  constructor({directory, epoch, stored}: {directory: string; epoch: number; stored: Stored}) {
    this.epoch = epoch
    this.contents = stored.contents
    this.#directory = directory
    this.#name = path.join(directory, storeName(epoch))
    this.#stored = stored
  }

  /** Writes the file for the first time. */
  begin(): Promise<void> {
    return this.#writeSnapshot()
  }

  isCurrent(): boolean {
    try {
      if (latestEpoch(this.#directory) !== this.epoch) return false
      // In a directory that was made anew another engine may have the same epoch.
      return this.#identities.includes(identityOf(statSync(this.#name)))
    } catch (error) {
      // Whoever removed it wants no engine that goes on.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      throw unwritable(this.#directory, error)
    }
  }

  append(batch: Batch): void {
    this.#stored.add(batch)
    this.#taken.push(encodeBatch(batch))
    if (this.#next !== undefined) return
    this.#next = this.#written = this.#written.then(() => this.#write())
    this.#written.catch(() => {})
  }

  settled(): Promise<void> {
    return this.#written
  }

  async close(): Promise<void> {
    await this.#written.catch(() => {})
    await this.#file?.close()
    this.#file = undefined
  }

  /** Writes all that is taken; a snapshot has it, too. */
  async #write(): Promise<void> {
    this.#next = undefined
    // Before a file is renamed over one that another engine has.
    if (!this.isCurrent()) throw superseded()
    const bytes = frame(Buffer.concat(this.#taken.splice(0)))
    try {
      const isLong = this.#end - this.#snapshotEnd > Math.max(leastLogBytes, 2 * this.#snapshotEnd)
      if (isLong) await this.#writeSnapshot()
      else await this.#writeFrame(bytes)
    } catch (error) {
      throw unwritable(this.#directory, error)
    }
    if (!this.isCurrent()) throw superseded()
  }

  /** The file syncs each write before it returns. */
  async #writeFrame(bytes: Buffer): Promise<void> {
    const file = this.#file
    if (file === undefined) throw new Error('closed')
    const missing = this.#end + bytes.length + leastRoomBytes - this.#size
    if (missing > 0) this.#size += await writeAll(file, zeros(missing), this.#size)
    this.#end += await writeAll(file, bytes, this.#end)
  }

  /** Puts a new file in the place of the one before, whole. */
  async #writeSnapshot(): Promise<void> {
    const head = Buffer.alloc(titleBytes)
    head.write(title, 'latin1')
    const frames = [...this.#stored.batches()].map((batch) => frame(encodeBatch(batch)))
    const bytes = Buffer.concat([head, ...frames])
    const unnamed = `${this.#name}.new`
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | constants.O_DSYNC
    const file = await open(unnamed, flags, ownerOnly)
    try {
      const size = await writeAll(file, Buffer.concat([bytes, zeros(1)]), 0)
      await file.sync()
      const identity = identityOf(await file.stat())
      this.#identities = [...this.#identities, identity]
      await rename(unnamed, this.#name)
      await syncDirectory(this.#directory)
      // The earlier one's number is another file's as soon as it is closed.
      this.#identities = [identity]
      await this.#file?.close()
      this.#file = file
      this.#size = size
      this.#end = this.#snapshotEnd = bytes.length
    } catch (error) {
      await file.close()
      await rm(unnamed, {force: true})
      throw error
    }
  }
}

const superseded = (): Superseded => new Superseded('another engine has the store')

/** Which file it is, whatever its name is, as long as somebody has it open. */
function identityOf({dev, ino}: Stats): string {
  return `${dev} ${ino}`
}

/** Zeros for at least so many bytes. */
function zeros(bytes: number): Buffer {
  return Buffer.alloc(Math.ceil(bytes / growthBytes) * growthBytes)
}

/** @returns how many bytes were written: all */
async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<number> {
  for (let done = 0; done < bytes.length;)
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten
  return bytes.length
}

/** A name is durable when its directory is. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
