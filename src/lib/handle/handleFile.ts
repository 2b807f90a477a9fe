import {isUtf8} from 'node:buffer'
import {randomBytes} from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {LeashError, unreachable} from '../core/errors.ts'
import {leaseHex} from '../core/identifiers.ts'
import {decodeHandle, encodeHandle, type Handle} from './handle.ts'

/**
 * More than any handle: a lease has at most 25 locks (`mostLocks`), each with four texts of up to about 1000 bytes, which JSON
 * may double.
 */
const largestBytes = 512 * 1024

const openToOthers = 0o077

const takeAgain = 'take the lock with leash acquire, and name the handle that it says'
const damaged = 'remove it, and take the lock again when its lease has run out'

/**
 * Writes a new handle, which only its user can read, and returns its path: the lease's id in the directory, as
 * `prepareHandleDirectory` made it. Not synced to the disk: a machine that crashes has lost the lock as well.
 *
 * @throws LeashError `config` when it cannot be written, or is there already; then nothing is left of it
 */
export function createHandle(directory: string, handle: Handle): string {
  const path = join(directory, leaseHex(handle.lease))
  try {
    writeNew(path, handle)
  } catch (error) {
    throw unwritable(path, error)
  }
  return path
}

/**
 * Reads a handle, as the user who made it: not even root takes a handle of somebody else, which could name any key and any
 * process. What is checked is checked on the descriptor that is then read.
 *
 * @param uid whose it must be: ours
 * @throws LeashError `usage` when there is none, or what is there is no handle of this user: a link, another kind of file,
 *   another owner's, open to others, damaged, or of another version
 */
export function readHandle(path: string, uid = process.geteuid?.() ?? -1): Handle {
  const descriptor = open(path)
  try {
    const status = fstatSync(descriptor)
    if (!status.isFile()) throw refused(path, 'is no regular file', takeAgain)
    if (status.uid !== uid)
      throw refused(
        path,
        `belongs to uid ${status.uid} and not to you`,
        'use it as the user who took the lock, or take a lock of your own with leash acquire',
      )
    if ((status.mode & openToOthers) !== 0) throw refused(path, 'is open to others than its owner', takeAgain)
    if (status.size > largestBytes) throw refused(path, 'is damaged: it is larger than 512 KiB', damaged)
    return decoded(path, readFileSync(descriptor))
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Replaces a handle: whoever reads it sees the old one or the new one. A handle that is gone stays so. Of two updates at the
 * same time the later one stays.
 *
 * @throws LeashError `usage` when there is no handle any more, or something else in its place; `config` when it cannot be
 *   written. The handle is then as it was
 */
export function updateHandle(path: string, handle: Handle): void {
  // Names cannot meet: another process, also one of another pid namespace, may update at the same time.
  const unfinished = `${path}.${randomBytes(8).toString('hex')}.tmp`
  try {
    writeNew(unfinished, handle)
    // After the write and right before the rename, which would make a file where none is. What remains open is a microsecond,
    // for a sweep that takes away only what was not updated for more than a day.
    const status = lstatSync(path, {throwIfNoEntry: false})
    if (status === undefined) throw missing(path)
    if (!status.isFile()) throw refused(path, 'is no regular file', takeAgain)
    renameSync(unfinished, path)
  } catch (error) {
    rmSync(unfinished, {force: true})
    if (error instanceof LeashError) throw error
    throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? missing(path, error) : unwritable(path, error)
  }
}

/** A new file, never one that is there or behind a link. Its mode is set, because a umask may take even our own rights. */
function writeNew(path: string, handle: Handle): void {
  const descriptor = openSync(path, 'wx', 0o600)
  try {
    fchmodSync(descriptor, 0o600)
    writeFileSync(descriptor, encodeHandle(handle))
  } catch (error) {
    rmSync(path, {force: true})
    throw error
  } finally {
    closeSync(descriptor)
  }
}

/** Non-blocking, because opening a named pipe would otherwise wait for a writer. */
function open(path: string): number {
  try {
    const {O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY} = constants
    return openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') throw missing(path, error)
    if (code === 'ELOOP') throw refused(path, 'is a symbolic link', 'name the file itself', error)
    if (code === 'EACCES')
      throw refused(
        path,
        'cannot be read: permission denied',
        'use it as the user who took the lock, or take a lock of your own with leash acquire',
        error,
      )
    throw refused(path, `cannot be read: ${code}`, takeAgain, error)
  }
}

function decoded(path: string, bytes: Buffer): Handle {
  if (!isUtf8(bytes)) throw refused(path, 'is damaged: it is not UTF-8', damaged)
  const content = decodeHandle(bytes.toString())
  switch (content.is) {
    case 'handle':
      return content.handle
    case 'damaged':
      throw refused(path, `is damaged: it ${content.what}`, damaged)
    case 'otherVersion':
      throw refused(
        path,
        `is of version ${content.version}, and this leash reads version 1`,
        'use it with the leash that made it',
      )
    default:
      return unreachable(content)
  }
}

function missing(path: string, cause?: unknown): LeashError {
  return new LeashError('usage', `there is no handle at ${JSON.stringify(path)}`, takeAgain, {cause})
}

/** @param what is wrong: the predicate of a sentence whose subject is the handle */
function refused(path: string, what: string, wayOut: string, cause?: unknown): LeashError {
  return new LeashError('usage', `the handle ${JSON.stringify(path)} ${what}`, wayOut, {cause})
}

function unwritable(path: string, error: unknown): LeashError {
  const code = (error as NodeJS.ErrnoException).code ?? String(error)
  return new LeashError(
    'config',
    `the handle ${JSON.stringify(path)} cannot be written: ${code}`,
    'make room, and let this user write there',
    {cause: error},
  )
}
