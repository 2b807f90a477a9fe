import {userInfo} from 'node:os'
import {isatty} from 'node:tty'
import {LeashError} from '../core/errors.ts'

const stderr = 2

/** What the settings are read from, besides the flags. */
export type World = {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The effective user: files are read with its rights, so its own files are the trusted ones. */
  readonly uid: number
  /** The user's home directory; undefined for a user without one. */
  readonly home: string | undefined
  /** Where the system's configuration files stand; undefined if they have no say. */
  readonly systemDirectory: string | undefined
  /** Whether a person is there who reads what leash says. */
  readonly isTold: boolean
}

/**
 * The process as it is. The home directory comes from the passwd entry and not from HOME, and XDG_CONFIG_HOME is not asked:
 * a lock that is tried out in a login shell and one that cron takes must read the same files, and `sudo` may keep the HOME
 * of another user.
 *
 * @throws LeashError `config` when the passwd entry cannot be read; a user that has none (as in containers with an arbitrary
 *   uid) has no home
 */
export function systemWorld(): World {
  return {
    environment: process.env,
    uid: process.geteuid?.() ?? -1,
    home: passwdHome(),
    systemDirectory: '/etc/leash',
    isTold: isatty(stderr),
  }
}

/**
 * The same for a program of ours that is told all in its environment, by whoever has read the files: what they say by default, or
 * by now, is for others.
 *
 * @param environment as `settingVariables` makes it
 */
export function toldWorld(environment: World['environment']): World {
  return {...systemWorld(), environment, home: undefined, systemDirectory: undefined, isTold: false}
}

/** @param lookUp asks the user database, as `os.userInfo` does */
export function passwdHome(lookUp: () => {homedir: string} = userInfo): string | undefined {
  try {
    const {homedir} = lookUp()
    return homedir.startsWith('/') ? homedir : undefined
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw new LeashError(
      'config',
      'the passwd entry of this user cannot be read, so its configuration file cannot be found',
      'check the user database, for example with: getent passwd "$(id -u)"',
      {cause: error},
    )
  }
}

/** The user's name, or number where it has none. */
export function userName(): string {
  try {
    return userInfo().username
  } catch {
    // A uid without a passwd entry, as in many containers.
    return String(process.getuid?.() ?? '?')
  }
}

function systemErrorCode(error: unknown): unknown {
  return (error as {info?: {code?: unknown}}).info?.code
}
