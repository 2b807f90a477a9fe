import {accessSync, constants, lstatSync, mkdirSync, realpathSync, type Stats, statSync} from 'node:fs'
import {join} from 'node:path'
import {LeashError} from '../core/errors.ts'
import {shellWord} from '../shellWord.ts'

/** Whose handles, and where that user is at home. */
export interface HandleOwner {
  readonly uid: number
  /** By the passwd entry; undefined for a user without one. */
  readonly home: string | undefined
}

const rootUid = 0
const writableByOthers = 0o022
const openToOthers = 0o077
const usedByOwner = 0o300
const sticky = 0o1000
/** What XDG's base directory specification gives to a directory that is made on the way. */
const privateMode = 0o700

/**
 * The directory of a user's handles, which is made if it is not there: `~/.local/state/leash/handles`, or
 * `/tmp/leash-UID/handles` for a user who cannot have that. It follows from the uid and the passwd entry, and not from HOME,
 * XDG_STATE_HOME or TMPDIR: cron and a login shell find the same one.
 *
 * Nobody else can put a file or a link into it, or replace it: every directory from the home (or /tmp) down is a directory
 * and no link, of this user, and writable by nobody else. Not checked is what is above the home, which is root's to order.
 *
 * @param temporary where everybody may make a directory
 * @throws LeashError `config` when a directory on the way cannot be made, or others could have put it there
 */
export function prepareHandleDirectory({uid, home}: HandleOwner, temporary = '/tmp'): string {
  const usable = home === undefined ? undefined : usableHome(home, uid)
  if (usable !== undefined) {
    const state = descend(descend(usable, '.local', uid, writableByOthers), 'state', uid, writableByOthers)
    return descend(descend(state, 'leash', uid, openToOthers), 'handles', uid, openToOthers)
  }
  const shared = sharedDirectory(temporary, uid)
  return descend(descend(shared, `leash-${uid}`, uid, openToOthers), 'handles', uid, openToOthers)
}

/**
 * The home without links, if its user can write there and nobody else. That of a service is often missing, root's or
 * read-only; and one that a group can write is as good as none: others could put their own directories into it.
 */
function usableHome(home: string, uid: number): string | undefined {
  try {
    const path = realpathSync.native(home)
    const status = statSync(path)
    if (!status.isDirectory() || status.uid !== uid || (status.mode & writableByOthers) !== 0)
      return undefined
    if (uid !== rootUid && (status.mode & usedByOwner) !== usedByOwner) return undefined
    // Asks for the real user, so it is not enough by itself; but it knows of file systems that are mounted read-only.
    accessSync(path, constants.W_OK)
    return path
  } catch {
    return undefined
  }
}

/** Where others can write, only the sticky bit keeps them from replacing what is ours. */
function sharedDirectory(temporary: string, uid: number): string {
  try {
    const path = realpathSync.native(temporary)
    const status = statSync(path)
    const keepsOwners = (status.mode & writableByOthers) === 0 || (status.mode & sticky) !== 0
    if (status.isDirectory() && keepsOwners && (status.uid === rootUid || status.uid === uid)) return path
  } catch {
    // It cannot be used, whatever the reason.
  }
  throw new LeashError(
    'config',
    `this user has no home directory of its own to write to, and ${temporary} is no sticky directory of root`,
    `give this user a home directory, or repair the other: chmod 1777 ${shellWord(temporary)}`,
  )
}

/** The directory `name` in `parent`, which is checked already: nobody else can exchange what is checked here. */
function descend(parent: string, name: string, uid: number, forbidden: number): string {
  const path = join(parent, name)
  try {
    mkdirSync(path, {mode: privateMode})
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    if (code !== 'EEXIST')
      throw new LeashError(
        'config',
        `the directory ${path} for handles cannot be made: ${code}`,
        `let this user write into ${parent}`,
        {cause: error},
      )
  }
  checkOwn(path, lstatSync(path), uid, forbidden)
  return path
}

function checkOwn(path: string, status: Stats, uid: number, forbidden: number): void {
  const word = shellWord(path)
  if (!status.isDirectory())
    throw new LeashError(
      'config',
      `${path} is ${status.isSymbolicLink() ? 'a symbolic link' : 'no directory'}, and handles need a directory there`,
      `remove it, or put a directory of your own in its place`,
    )
  if (status.uid !== uid)
    throw new LeashError(
      'config',
      `${path} belongs to uid ${status.uid} and not to you, so the handles in it could be forged`,
      `check what is in it, then, as root: chown ${uid} ${word}`,
    )
  if ((status.mode & forbidden) !== 0)
    throw new LeashError(
      'config',
      `${path} is open to others, so the handles in it could be ${forbidden === openToOthers ? 'read or ' : ''}replaced`,
      `check what is in it, then: chmod ${forbidden === openToOthers ? 'go-rwx' : 'go-w'} ${word}`,
    )
}
