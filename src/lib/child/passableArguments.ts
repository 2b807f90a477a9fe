import {isUtf8} from 'node:buffer'
import {readFileSync} from 'node:fs'
import {LeashError} from '../core/errors.ts'

/**
 * Checks that the command's arguments can be handed on byte by byte. Node reads its own as UTF-8, and shows what is none
 * as U+FFFD: a file name in Latin-1 would reach the command as the name of another file.
 *
 * @throws LeashError `usage`
 */
export function requirePassable(argv: readonly string[]): void {
  const altered = argv.find((word) => word.includes('\ufffd'))
  if (altered === undefined || isOwnCommandLineUtf8()) return
  throw new LeashError(
    'usage',
    `the argument ${JSON.stringify(altered)} of the command is not valid UTF-8, and leash could not hand it on unchanged`,
    'put the command into a script',
  )
}

/** Only then does a U+FFFD stand for itself. */
function isOwnCommandLineUtf8(): boolean {
  try {
    return isUtf8(readFileSync('/proc/self/cmdline'))
  } catch {
    return false
  }
}
