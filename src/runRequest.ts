import {findCommand} from './lib/child/findCommand.ts'
import {requirePassable} from './lib/child/passableArguments.ts'
import type {RunRequest} from './lib/child/runUnderLock.ts'
import {type LockFlags, lockRequest} from './lib/config/lockRequest.ts'
import type {Settings} from './lib/config/settings.ts'
import {parseSignal} from './lib/config/signal.ts'
import {LeashError} from './lib/core/errors.ts'

/** The flags of `run` that say what to run under which lock. */
export type RunFlags = LockFlags & {signal?: string | undefined}

/**
 * What to run, from flags, operands and settings, with every check that needs no etcd.
 *
 * @throws LeashError `usage`; `notFound` or `notExecutable` for the command
 */
export function runRequest(flags: RunFlags, operands: readonly string[], settings: Settings): RunRequest {
  const lock = lockRequest(flags, settings)
  const stopSignal = parseSignal(flags.signal ?? 'TERM')
  const [file, ...args] = operands
  if (file === undefined) {
    throw new LeashError(
      'usage',
      'there is no command to run',
      'put it after the options: leash run -l NAME -- COMMAND',
    )
  }
  requirePassable(operands)
  findCommand(file, process.env['PATH'])
  return {lock, argv: [file, ...args], env: process.env, stopSignal}
}
