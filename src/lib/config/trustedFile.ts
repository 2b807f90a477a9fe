import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs'
import {basename, dirname} from 'node:path'
import {LeashError} from '../core/errors.ts'
import {shellWord} from '../shellWord.ts'

/** A configuration is a few lines; more is another file by mistake. */
const largestBytes = 64 * 1024

const rootUid = 0
const writableByOthers = 0o022

/** Whose file it is. It decides who should own it, and what it means that the way to it cannot be searched. */
export type Place = 'user' | 'system'

/**
 * Reads a file that nobody but root and the user can have written; undefined if there is none. Whoever writes it chooses
 * which etcd the locks are taken at, and so whether they exclude anybody. Checked are the file, on the descriptor it is then
 * read from, and the directory it stands in, for a symbolic link also that of its target; an access control list that lets
 * others write shows in the group's bits. Not checked are the directories above: who can write there can move a trusted
 * directory, but not forge one, because owners are checked.
 *
 * @throws LeashError `config` when others can write it or its directory, or own them; when it is not a regular file, is
 *   over 64 KiB, or is there and cannot be read
 */
export function readTrustedFile(path: string, uid: number, place: Place): string | undefined {
  const descriptor = open(path, place)
  if (descriptor === undefined) return undefined
  try {
    const status = fstatSync(descriptor)
    if (!status.isFile())
      throw new LeashError('config', `${path} is not a regular file`, 'put a file in its place')
    checkTrust({path, status, uid, place, danger: ''})
    for (const directory of new Set([dirname(path), dirname(realpathSync.native(path))]))
      checkTrust({
        path: directory,
        status: statSync(directory),
        uid,
        place,
        danger: `, so others could replace ${basename(path)}`,
      })
    if (status.size > largestBytes)
      throw new LeashError('config', `${path} is larger than 64 KiB`, 'keep LEASH_ settings only in it')
    return readFileSync(descriptor, 'utf8')
  } catch (error) {
    throw error instanceof LeashError ? error : unreadable(path, error)
  } finally {
    closeSync(descriptor)
  }
}

/** Non-blocking, because opening a named pipe would otherwise wait for a writer. */
function open(path: string, place: Place): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    if (code === 'EACCES' && place === 'user' && isHidden(path)) return undefined
    throw unreadable(path, error)
  }
}

/** systemd's `ProtectHome=yes` shows /home as a directory that nobody may search: then there is no file, not a wrong one. */
function isHidden(path: string): boolean {
  try {
    statSync(path)
    return false
  } catch {
    return true
  }
}

function unreadable(path: string, error: unknown): LeashError {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
  return code === 'EACCES'
    ? new LeashError(
        'config',
        `${path} cannot be read: permission denied`,
        'ask its owner to let you read it, or choose a profile of your own with --profile',
        {cause: error},
      )
    : new LeashError('config', `${path} cannot be read: ${code}`, 'repair or remove it', {cause: error})
}

type Trust = {path: string; status: Stats; uid: number; place: Place; danger: string}

function checkTrust({path, status, uid, place, danger}: Trust): void {
  const word = shellWord(path)
  if (status.uid !== rootUid && status.uid !== uid)
    throw new LeashError(
      'config',
      `${path} belongs to uid ${status.uid}, who is neither root nor you${danger}`,
      `check what is in it, then: chown ${place === 'user' ? uid : 'root'} ${word}`,
    )
  if ((status.mode & writableByOthers) !== 0)
    throw new LeashError(
      'config',
      `${path} can be written by others than its owner${danger}`,
      `check what is in it, then: chmod go-w ${word}`,
    )
}
