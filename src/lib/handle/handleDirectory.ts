import {realpathSync, statSync} from 'node:fs'
import {LeashError} from '../core/errors.ts'
import {
  type Owner,
  openToOthers,
  ownDirectory,
  stateDirectory,
  usableHome,
  writableByOthers,
} from '../ownDirectory.ts'
import {shellWord} from '../shellWord.ts'

const rootUid = 0
const sticky = 0o1000
const purpose = 'handles'

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
export function prepareHandleDirectory({uid, home}: Owner, temporary = '/tmp'): string {
  const usable = home === undefined ? {fault: 'is missing'} : usableHome(home, uid)
  const leash = 'path' in usable ? stateDirectory(usable.path, uid, purpose) : undefined
  const parent =
    leash ?? ownDirectory(sharedDirectory(temporary, uid), `leash-${uid}`, uid, openToOthers, purpose)
  return ownDirectory(parent, 'handles', uid, openToOthers, purpose)
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
