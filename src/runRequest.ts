import {join} from 'node:path'
import {isatty} from 'node:tty'
import type {Tier} from './lib/child/containment.ts'
import {findCommand} from './lib/child/findCommand.ts'
import type {ContainmentChoice} from './lib/child/chooseContainment.ts'
import type {Inheritance} from './lib/child/inheritance.ts'
import {requirePassable} from './lib/child/passableArguments.ts'
import type {RunRequest} from './lib/child/runUnderLock.ts'
import type {LeftoverPolicy} from './lib/child/supervision.ts'
import {type Credentials, withoutPasswords} from './lib/config/credentials.ts'
import {type LockFlags, lockRequest} from './lib/config/lockRequest.ts'
import type {Settings} from './lib/config/settings.ts'
import type {Tls} from './lib/config/tls.ts'
import {parseSignal} from './lib/config/signal.ts'
import {LeashError} from './lib/core/errors.ts'
import {packageRoot} from './packageRoot.ts'

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
      guard: guardProgram(settings, inheritance),
    },
    ending: {stopSignal, leftovers: flags.leftovers ?? 'kill'},
  }
}

/**
 * What leash is configured by does not reach the guard: it gets what was made of it. Neither does the mark of an outer run,
 * which would end our guard with its own job.
 */
const ownVariable = /^(LEASH|ETCDCTL)_/

/** Where the few programs are that the guard starts, also if the job needs none from there. */
const standardPath = '/usr/bin:/bin'

/** The guard, and the command by which it makes the clean end in the place of a leash that died. */
function guardProgram({connection}: Settings, {env}: Inheritance): RunRequest['job']['guard'] {
  const {endpoints, tls, credentials, insecureTransport} = connection
  return {
    script: join(packageRoot, 'bin/guard.sh'),
    cleanEnd: [process.execPath, join(packageRoot, 'bin/leash.cjs'), 'finish'],
    env: {
      ...Object.fromEntries(Object.entries(env).filter(([name]) => !ownVariable.test(name))),
      LEASH_ENDPOINTS: endpoints.value.map(({url}) => url).join(','),
      ...(tls && tlsVariables(tls)),
      ...(insecureTransport.value && {LEASH_INSECURE_TRANSPORT: 'true'}),
      ...(credentials && credentialVariables(credentials)),
      PATH: [env['PATH'], standardPath].filter(Boolean).join(':'),
    },
  }
}

/** The guard works for leash, not for the job, and only its user and root can see its environment. */
function credentialVariables({user, password, passwordFile}: Credentials): Record<string, string> {
  return {
    LEASH_USER: user.value,
    ...(passwordFile === undefined ? {LEASH_PASSWORD: password.value} : {LEASH_PASSWORD_FILE: passwordFile}),
  }
}

/** Files by their absolute paths: the guard works in another directory. */
function tlsVariables({ca, certificate, key, serverName}: Tls): Record<string, string> {
  const all = {
    LEASH_CACERT: ca.value?.path,
    LEASH_CLIENT_CERT: certificate.value?.path,
    LEASH_CLIENT_KEY: key.value?.path,
    LEASH_SERVER_NAME: serverName.value,
  }
  const set = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return Object.fromEntries(set)
}
