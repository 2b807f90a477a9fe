import {isatty} from 'node:tty'
import type {Tier} from './lib/child/containment.ts'
import {findCommand} from './lib/child/findCommand.ts'
import type {ContainmentChoice} from './lib/child/chooseContainment.ts'
import type {Inheritance} from './lib/child/inheritance.ts'
import {requirePassable} from './lib/child/passableArguments.ts'
import type {RunRequest} from './lib/child/runUnderLock.ts'
import type {LeftoverPolicy} from './lib/child/supervision.ts'
import {withoutPasswords} from './lib/config/credentials.ts'
import {type LockFlags, lockRequest} from './lib/config/lockRequest.ts'
import type {Settings} from './lib/config/settings.ts'
import {parseSignal} from './lib/config/signal.ts'
import {LeashError} from './lib/core/errors.ts'
import {guardScript, leashProgram, plainEnvironment, settingVariables} from './ownPrograms.ts'

/** The flags of `run` that say what to run under which lock. */
export type RunFlags = LockFlags & {
  signal?: string | undefined
  leftovers?: LeftoverPolicy | undefined
  foreground?: boolean | undefined
  contain?: ContainmentChoice['wish'] | undefined
  'require-containment'?: Tier | undefined
}

const stdin = 0

/**
 * What to run, from flags, operands and settings, with every check that needs no etcd.
 *
 * @throws LeashError `usage`; `notFound` or `notExecutable` for the command
 */
export function runRequest(
  flags: RunFlags,
  operands: readonly string[],
  settings: Settings,
  inheritance: Inheritance,
): RunRequest {
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
  return {
    lock,
    job: {
      argv: [file, ...args],
      inheritance: {
        ...inheritance,
        env: Object.fromEntries(withoutPasswords(Object.entries(inheritance.env))),
        rawEnv: new Map(withoutPasswords(inheritance.rawEnv)),
      },
      foreground: flags.foreground ?? isatty(stdin),
      containment: {wish: flags.contain ?? 'auto', required: flags['require-containment'] ?? 'group'},
      guard: {
        script: guardScript,
        cleanEnd: [...leashProgram, 'finish'],
        env: {...plainEnvironment(inheritance.env), ...settingVariables(settings)},
      },
    },
    ending: {stopSignal, leftovers: flags.leftovers ?? 'kill'},
  }
}
