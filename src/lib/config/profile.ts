import {join} from 'node:path'
import {parseEnvFile} from './envFile.ts'
import {type Given, refused} from './origin.ts'
import {type Place, readTrustedFile} from './trustedFile.ts'
import type {World} from './world.ts'

/** A configuration file that was found and may be believed. */
export type SettingsFile = {readonly path: string; readonly variables: ReadonlyMap<string, string>}

const defaultProfile = 'leash'

/** A file name and nothing more: no way out of the directory, no hidden file, nothing that a tool takes for an option. */
const safeFileName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/**
 * Reads the files of a profile: the user's, then the system's, as far as they exist. A profile stands *instead of* `leash.env`
 * and not on top of it: a staging profile that forgets its endpoints must not take locks in production.
 *
 * @param chosen the profile's name; without one `leash.env` is read, and need not exist
 * @param variables the names that a file may set
 * @throws LeashError `usage` or `config` for a name that is not one; `config` for a profile without a file, and for what
 *   `readTrustedFile` and `parseEnvFile` refuse
 */
export function readProfile(
  chosen: Given | undefined,
  variables: readonly string[],
  world: World,
): readonly SettingsFile[] {
  if (chosen !== undefined && !safeFileName.test(chosen.text))
    throw refused(
      chosen,
      'is not a profile name',
      'use 1 to 64 letters, digits, dots, hyphens and underscores, the first a letter or digit',
    )
  const places = pathsOf(chosen?.text ?? defaultProfile, world)
  const files: SettingsFile[] = []
  for (const {path, place} of places) {
    const text = readTrustedFile(path, world.uid, place)
    if (text !== undefined) files.push({path, variables: parseEnvFile(text, path, variables)})
  }
  if (chosen !== undefined && files.length === 0)
    throw refused(
      chosen,
      'is a profile without a file',
      `create ${places.map(({path}) => path).join(' or ')}, or choose another profile`,
      'config',
    )
  return files
}

function pathsOf(profile: string, {home, systemDirectory}: World): readonly {path: string; place: Place}[] {
  const file = `${profile}.env`
  return [
    ...(home === undefined ? [] : [{path: join(home, '.config/leash', file), place: 'user'} as const]),
    ...(systemDirectory === undefined ? [] : [{path: join(systemDirectory, file), place: 'system'} as const]),
  ]
}
