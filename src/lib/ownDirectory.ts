import {
  accessSync,
  chmodSync,
  constants,
  lstatSync,
  mkdirSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs'
import {join} from 'node:path'
import {LeashError} from './core/errors.ts'
import {shellWord} from './shellWord.ts'

/** Whose directory, and where that user is at home. */
export interface Owner {
  readonly uid: number
  /** By the passwd entry; undefined for a user without one. */
  readonly home: string | undefined
}

/** The bits of a mode that nobody may have: to write, or anything at all. */
export const writableByOthers = 0o022
export const openToOthers = 0o077

const rootUid = 0
const usedByOwner = 0o300
/** What XDG's base directory specification gives to a directory that is made on the way. */
const privateMode = 0o700

/**
 * The home without links, if its user can write there and nobody else; else what speaks against it, as the predicate of a
 * sentence. That of a service is often missing, root's or read-only; and one that a group can write is as good as none: others
 * could put their own directories into it.
 */
export function usableHome(home: string, uid: number): {path: string} | {fault: string} {
  try {
    const path = realpathSync.native(home)
    const status = statSync(path)
    if (!status.isDirectory()) return {fault: 'is no directory'}
    if (status.uid !== uid) return {fault: `belongs to uid ${status.uid}`}
    if ((status.mode & writableByOthers) !== 0) return {fault: 'can be written to by others'}
    if (uid !== rootUid && (status.mode & usedByOwner) !== usedByOwner)
      return {fault: 'cannot be written to by its owner'}
    // Asks for the real user, so it is not enough by itself; but it knows of file systems that are mounted read-only.
    accessSync(path, constants.W_OK)
    return {path}
  } catch (error) {
    return {fault: `cannot be used (${(error as NodeJS.ErrnoException).code ?? String(error)})`}
  }
}

/**
 * `~/.local/state/leash`, which is made if it is not there.
 *
 * @param home the path that `usableHome` returns
 * @param purpose what it is for, in the plural
 * @throws as `ownDirectory`
 */
export function stateDirectory(home: string, uid: number, purpose: string): string {
  const local = ownDirectory(home, '.local', uid, writableByOthers, purpose)
  const state = ownDirectory(local, 'state', uid, writableByOthers, purpose)
  return ownDirectory(state, 'leash', uid, openToOthers, purpose)
}

/**
 * The directory `name` in `parent`, made if it is not there. `parent` is checked already: nobody else can exchange what is
 * checked here.
 *
 * @param forbidden the bits that its mode may not have
 * @param purpose what it is for, in the plural
 * @throws LeashError `config` when it cannot be made, or others could have put it there
 */
export function ownDirectory(
  parent: string,
  name: string,
  uid: number,
  forbidden: number,
  purpose: string,
): string {
  const path = join(parent, name)
  try {
    mkdirSync(path, {mode: privateMode})
    // With a umask such as 177 nobody could enter it, and whoever comes later would find it like that.
    chmodSync(path, privateMode)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    if (code !== 'EEXIST')
      throw new LeashError(
        'config',
        `the directory ${path} for ${purpose} cannot be made: ${code}`,
        isFull(code) ? `make room in ${parent}` : `let this user write into ${parent}`,
        {cause: error},
      )
  }
  checkOwn(path, lstatSync(path), uid, forbidden, purpose)
  return path
}

function isFull(code: string): boolean {
  return code === 'ENOSPC' || code === 'EDQUOT'
}

function checkOwn(path: string, status: Stats, uid: number, forbidden: number, purpose: string): void {
  const word = shellWord(path)
  if (!status.isDirectory())
    throw new LeashError(
      'config',
      `${path} is ${status.isSymbolicLink() ? 'a symbolic link' : 'no directory'}, and ${purpose} need a directory there`,
      `remove it, or put a directory of your own in its place`,
    )
  if (status.uid !== uid)
    throw new LeashError(
      'config',
      `${path} belongs to uid ${status.uid} and not to you, so the ${purpose} in it could be forged`,
      `check what is in it, then, as root: chown ${uid} ${word}`,
    )
  if ((status.mode & forbidden) !== 0)
    throw new LeashError(
      'config',
      `${path} is open to others, so the ${purpose} in it could be ${forbidden === openToOthers ? 'read or ' : ''}replaced`,
      `check what is in it, then: chmod ${forbidden === openToOthers ? 'go-rwx' : 'go-w'} ${word}`,
    )
}
