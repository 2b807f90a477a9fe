import {isUtf8} from 'node:buffer'
import {closeSync, constants, fstatSync, openSync, readFileSync, type Stats, statSync} from 'node:fs'
import {LeashError} from '../core/errors.ts'
import {shellWord} from '../shellWord.ts'

/** A password is a line; more is another file by mistake. */
const largestBytes = 4096

const rootUid = 0
const openToOthers = 0o077

/**
 * Reads the one line of a file that nobody but its owner can read: the user, or root. A line feed at its end, also after a
 * carriage return, does not belong to it.
 *
 * @param uid the user's
 * @throws LeashError `config`, never with what is in the file, when it cannot be read, is not a regular file, belongs to
 *   somebody else, is open to its group or others, or does not hold one line of UTF-8
 */
export function readSecretFile(path: string, uid: number): string {
  const bytes = readOwn(path, uid)
  const text = bytes.toString('utf8').replace(/\r?\n$/, '')
  if (text === '') throw new LeashError('config', `${path} is empty`, 'write the password into it')
  // eslint-disable-next-line no-control-regex
  if (!isUtf8(bytes) || /[\0-\x1f\x7f]/.test(text))
    throw new LeashError(
      'config',
      `${path} is not one line of text`,
      'write the password into it, and nothing else',
    )
  return text
}

/**
 * Refuses a secret in a file that others than its owner can read.
 *
 * @throws LeashError `config`
 */
export function requireSecret(path: string, status: Stats = statSync(path)): void {
  if ((status.mode & openToOthers) === 0) return
  throw new LeashError(
    'config',
    `${path} holds a password and is open to others than its owner`,
    `change the password if they may have read it, then: chmod go= ${shellWord(path)}`,
  )
}

function readOwn(path: string, uid: number): Buffer {
  let descriptor: number | undefined
  try {
    // Non-blocking, because opening a named pipe would otherwise wait for a writer.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
    const status = fstatSync(descriptor)
    if (!status.isFile())
      throw new LeashError('config', `${path} is not a regular file`, 'write the password into a file')
    if (status.uid !== rootUid && status.uid !== uid)
      throw new LeashError(
        'config',
        `${path} belongs to uid ${status.uid}, who is neither root nor you, and so knows the password`,
        `check what is in it, then: chown ${uid} ${shellWord(path)}`,
      )
    requireSecret(path, status)
    if (status.size > largestBytes)
      throw new LeashError('config', `${path} is larger than 4 KiB`, 'name a file with the password only')
    return readFileSync(descriptor)
  } catch (error) {
    if (error instanceof LeashError) throw error
    const {code, message} = error as NodeJS.ErrnoException
    throw new LeashError(
      'config',
      `${path} cannot be read: ${code ?? message}`,
      'check the path and its permissions',
      {
        cause: error,
      },
    )
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}
