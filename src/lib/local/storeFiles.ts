import {readdirSync} from 'node:fs'
import {open, readFile, readdir, rm} from 'node:fs/promises'
import path from 'node:path'
import {decodeBatches} from './batchCode.ts'
import {Damage, contents} from './frames.ts'
import {damaged, otherFormat} from './storageFaults.ts'
import {Stored} from './stored.ts'

/** Says what the file is, and in which version of it; filled up with zeros to where the first frame begins. */
export const title = 'leash store, format 1\n'
const titlePattern = /^leash store, format (\d+)\n/
export const titleBytes = 32

/** A write into memory that the kernel has begun takes less, also where it has to wait for a processor. */
const lastWriteMs = 100

export const ownerOnly = 0o600

export const storeName = (epoch: number): string => `store.${epoch}`

/** The epochs for which there is a file, the latest first. Above these numbers one more could be none. */
function epochsIn(names: readonly string[]): number[] {
  const found = names.flatMap((name) => /^store\.([1-9]\d{0,14})$/.exec(name)?.[1] ?? []).map(Number)
  return found.sort((one, other) => other - one)
}

/** Undefined if there is no file of any. */
export const latestEpoch = (directory: string): number | undefined => epochsIn(readdirSync(directory))[0]

/** Makes an empty file of an epoch that is above all others. */
export async function claim(directory: string): Promise<number> {
  for (;;) {
    const [latest = 0] = epochsIn(await readdir(directory))
    try {
      const file = await open(path.join(directory, storeName(latest + 1)), 'wx', ownerOnly)
      await file.close()
      return latest + 1
    } catch (error) {
      // Another engine has just taken it.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

/** Takes a claim back of which nothing came. */
export async function withdraw(file: string): Promise<void> {
  try {
    await rm(`${file}.new`, {force: true})
    if ((await readFile(file)).length === 0) await rm(file, {force: true})
  } catch {
    // It is no more than an empty file, which the next one skips.
  }
}

/** Removes the files of earlier epochs, and what was to become one. */
export async function removeEarlier(directory: string, epoch: number): Promise<void> {
  for (const name of await readdir(directory)) {
    const [of] = epochsIn([name.replace(/\.new$/, '')])
    if (of !== undefined && of < epoch) await rm(path.join(directory, name), {force: true})
  }
}

/**
 * An earlier engine may be in the middle of its last write, which nobody will hear of, and halves of that look like damage. So what
 * looks damaged is read again until it stays as it is.
 */
export async function readLatest(directory: string, before: number): Promise<Stored> {
  let doubted: Buffer | undefined
  for (;;) {
    const latest = await latestFile(directory, before)
    if (latest === undefined) return new Stored()
    try {
      return read(latest)
    } catch (error) {
      if (doubted?.equals(latest.bytes) === true) throw error
    }
    doubted = latest.bytes
    await new Promise((resolve) => setTimeout(resolve, lastWriteMs))
  }
}

interface StoreFile {
  readonly name: string
  readonly bytes: Buffer
}

/** The latest file with something in it. */
async function latestFile(directory: string, before: number): Promise<StoreFile | undefined> {
  for (const epoch of epochsIn(await readdir(directory)).filter((one) => one < before)) {
    const name = path.join(directory, storeName(epoch))
    const bytes = await readFile(name).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    // A later engine was ready meanwhile, and has removed what is older than its own.
    if (bytes === undefined) return latestFile(directory, before)
    if (bytes.length > 0) return {name, bytes}
  }
  return undefined
}

function read({name, bytes}: StoreFile): Stored {
  const head = bytes.subarray(0, titleBytes).toString('latin1')
  const format = titlePattern.exec(head)?.[1]
  if (format === undefined) throw damaged(name, 0)
  if (!head.startsWith(title)) throw otherFormat(name, Number(format))
  const stored = new Stored()
  try {
    for (const content of contents(bytes, titleBytes))
      for (const batch of decodeBatches(content)) stored.add(batch)
  } catch (error) {
    throw error instanceof Damage ? damaged(name, error.at) : error
  }
  return stored
}
