import {join} from 'node:path'
import type {Credentials} from './lib/config/credentials.ts'
import type {Settings} from './lib/config/settings.ts'
import type {Tls} from './lib/config/tls.ts'
import type {EngineProgram} from './lib/local/startOnDemand.ts'
import {packageRoot} from './packageRoot.ts'

/** leash itself, as another process is started with it: without the launcher, which is for what a job inherits. */
export const leashProgram = [process.execPath, join(packageRoot, 'bin/leash.cjs')] as const

export const guardScript = join(packageRoot, 'bin/guard.sh')

/**
 * What leash is configured by does not reach its own programs: they get what was made of it. Neither does the mark of an outer
 * run, which would end our guard with its own job.
 */
const ownVariable = /^(LEASH|ETCDCTL)_/

/** Where the few programs are that a guard starts, also if the job needs none from there. */
const standardPath = '/usr/bin:/bin'

/** An environment for programs of ours: without what leash is configured by, and with a PATH. */
export function plainEnvironment<Value extends string | undefined>(
  env: Readonly<Record<string, Value>>,
): Record<string, Value | string> {
  return {
    ...Object.fromEntries(Object.entries(env).filter(([name]) => !ownVariable.test(name))),
    PATH: [env['PATH'], standardPath].filter(Boolean).join(':'),
  }
}

const [node, launcher] = leashProgram

/** With 10,000 keys the engine has 124 MB without these, and 91 MB with them. */
const engineFlags = ['--max-semi-space-size=1', '--optimize-for-size']

/** How the engine of this user is started; it needs nothing of whoever happens to start it. */
export const engineProgram: EngineProgram = {
  argv: [node, ...engineFlags, launcher, 'serve', '--on-demand'],
  env: {},
}

/** The variables by which a leash that we start comes to speak to the same etcd in the same way. */
export function settingVariables({connection}: Settings): Record<string, string> {
  const {endpoints, tls, credentials, insecureTransport} = connection
  return {
    LEASH_ENDPOINTS: endpoints.value.map(({url}) => url).join(','),
    ...(tls && tlsVariables(tls)),
    ...(insecureTransport.value && {LEASH_INSECURE_TRANSPORT: 'true'}),
    ...(credentials && credentialVariables(credentials)),
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
