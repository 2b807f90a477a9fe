import {LeashError} from '../core/errors.ts'
import {shellWord} from '../shellWord.ts'

/** What a disk says when there is no more room, for anybody or for this user. */
const isFull = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

/** The store cannot be made, read or written. */
export function unwritable(directory: string, error: unknown): LeashError {
  const reason =
    (error as NodeJS.ErrnoException).code ?? (error instanceof Error ? error.message : String(error))
  return isFull.has(reason)
    ? new LeashError(
        'unavailable',
        `the disk has no room for the store of the local engine in ${directory}: ${reason}`,
        'make room there',
        {cause: error},
      )
    : new LeashError(
        'config',
        `the store of the local engine in ${directory} cannot be read and written: ${reason}`,
        'let this user read and write in that directory, on a disk that is in order',
        {cause: error},
      )
}

/** The file of a store is not as it was written. */
export function damaged(file: string, at: number): LeashError {
  return new LeashError(
    'config',
    `the store of the local engine is damaged: ${file} at byte ${at}`,
    `when no job of yours runs under a lock, move it away (mv ${shellWord(file)} ${shellWord(`${file}.damaged`)}), and all locks are free, and fencing tokens begin anew`,
  )
}

/** The file of a store was written by another version of leash. */
export function otherFormat(file: string, format: number): LeashError {
  return new LeashError(
    'config',
    `the store of the local engine in ${file} has format ${format}, and this leash knows format 1`,
    'use the leash that has written it',
  )
}
