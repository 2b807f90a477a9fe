import {isatty} from 'node:tty'
import type {Tier} from './lib/child/containment.ts'
import {findCommand} from './lib/child/findCommand.ts'
import type {ContainmentChoice} from './lib/child/chooseContainment.ts'
import type {Inheritance} from './lib/child/inheritance.ts'
import {requirePassable} from './lib/child/passableArguments.ts'
import type {RunRequest} from './lib/child/runUnderLock.ts'
import type {LeftoverPolicy} from './lib/child/supervision.ts'
import {withoutPasswords} from './lib/config/credentials.ts'
import type {Settings} from './lib/config/settings.ts'
import {parseSignal} from './lib/config/signal.ts'
import {LeashError} from './lib/core/errors.ts'
import type {LockRequest} from './lib/core/lock.ts'
import {guardScript, leashProgram, plainEnvironment, settingVariables} from './ownPrograms.ts'

/** The flags that say how to run a command. */
export interface RunFlags {
  signal?: string | undefined
  leftovers?: LeftoverPolicy | undefined
  foreground?: boolean | undefined
  contain?: ContainmentChoice['wish'] | undefined
  'require-containment'?: Tier | undefined
}

const stdin = 0

/**
 * What to run under a lock, from flags, operands and settings, with every check that needs no etcd.
 *
 * @param usage how a command is given, for the message if there is none
 * @throws LeashError `usage`; `notFound` or `notExecutable` for the command
 */
export function runRequest(
  lock: LockRequest,
  flags: RunFlags,
  operands: readonly string[],
  settings: Settings,
  inheritance: Inheritance,
  usage: string,
): RunRequest {
  const stopSignal = parseSignal(flags.signal ?? 'TERM')
  const [file, ...args] = operands
  if (file === undefined) {
    throw new LeashError('usage', 'there is no command to run', `put it after the options: ${usage}`)
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
