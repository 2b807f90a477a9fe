/**
 * Flags, environment and files become settings here and nowhere else. The order is: flag, environment, the user's file,
 * the system's file; each setting is decided for itself. An empty text in the environment or a file counts as not set; an
 * empty flag is a mistake. Nothing is written to `process.env`, so that what a file says never reaches the child.
 */
import {parseBoolean} from './boolean.ts'
import {type Credentials, readCredentials, refuseInsecure} from './credentials.ts'
import {type DurationBounds, parseDuration} from './duration.ts'
import {type Endpoint, localEngine, parseEndpoints} from './endpoints.ts'
import {refuseBlindTrust, refuseForeignWays} from './etcdctl.ts'
import {nothingConfigured, refuseForLocal} from './local.ts'
import type {Given, Setting} from './origin.ts'
import {defaultPrefix, parsePrefix} from './prefix.ts'
import {readProfile, type SettingsFile} from './profile.ts'
import {type Tls, readTls, refusePlainText, wantsTls} from './tls.ts'
import {systemWorld, type World} from './world.ts'

export type Settings = {
  readonly connection: {
    /** At least one, all of one scheme, no two the same; `local` is alone. */
    readonly endpoints: Setting<readonly Endpoint[]>
    /** How long connection errors are retried before a ticket exists. */
    readonly connectTimeoutMs: Setting<number>
    /** Ends with a slash. */
    readonly prefix: Setting<string>
    /** undefined: the endpoints are http, or local. */
    readonly tls: Tls | undefined
    /** undefined: etcd is not told who we are, but for what a client certificate says. */
    readonly credentials: Credentials | undefined
    /** Whether plain text is wanted, also for a password; undefined: for anything but that. */
    readonly insecureTransport: Setting<boolean | undefined>
  }
  readonly timing: {
    readonly ttlMs: Setting<number>
    readonly lockDelayMs: Setting<number>
    /** undefined: the timeline chooses, in proportion to the TTL. */
    readonly graceMs: Setting<number | undefined>
  }
}

/**
 * The flags that are settings, as oclif parses them; `quiet`, with which nobody is told which engine was chosen;
 * and whether that was the one of this machine already, when nothing spoke against it.
 */
export type SettingsFlags = {
  readonly quiet?: boolean | undefined
  readonly isLocalAlready?: boolean | undefined
  readonly local?: boolean | undefined
  readonly endpoints?: string | undefined
  readonly prefix?: string | undefined
  readonly 'connect-timeout'?: string | undefined
  readonly ttl?: string | undefined
  readonly 'lock-delay'?: string | undefined
  readonly grace?: string | undefined
  readonly profile?: string | undefined
  readonly 'password-file'?: string | undefined
  readonly 'insecure-transport'?: boolean | undefined
}

/** Where a setting is looked for; names of the environment in the order in which they count. */
type Source = {
  /** None where it belongs to a site and not to a command. */
  readonly flag?: keyof SettingsFlags
  readonly environment: readonly string[]
  readonly file: string
}

const sources = {
  // etcdctl's variable is no setting of our files: those are leash's own.
  endpoints: {
    flag: 'endpoints',
    environment: ['LEASH_ENDPOINTS', 'ETCDCTL_ENDPOINTS'],
    file: 'LEASH_ENDPOINTS',
  },
  prefix: {flag: 'prefix', environment: ['LEASH_PREFIX'], file: 'LEASH_PREFIX'},
  connectTimeout: {
    flag: 'connect-timeout',
    environment: ['LEASH_CONNECT_TIMEOUT'],
    file: 'LEASH_CONNECT_TIMEOUT',
  },
  ttl: {flag: 'ttl', environment: ['LEASH_TTL'], file: 'LEASH_TTL'},
  lockDelay: {flag: 'lock-delay', environment: ['LEASH_LOCK_DELAY'], file: 'LEASH_LOCK_DELAY'},
  grace: {flag: 'grace', environment: ['LEASH_GRACE'], file: 'LEASH_GRACE'},
  ca: {environment: ['LEASH_CACERT', 'ETCDCTL_CACERT'], file: 'LEASH_CACERT'},
  certificate: {environment: ['LEASH_CLIENT_CERT', 'ETCDCTL_CERT'], file: 'LEASH_CLIENT_CERT'},
  key: {environment: ['LEASH_CLIENT_KEY', 'ETCDCTL_KEY'], file: 'LEASH_CLIENT_KEY'},
  serverName: {environment: ['LEASH_SERVER_NAME'], file: 'LEASH_SERVER_NAME'},
  user: {environment: ['LEASH_USER', 'ETCDCTL_USER'], file: 'LEASH_USER'},
  // Never a flag: arguments are for everybody to see.
  password: {environment: ['LEASH_PASSWORD', 'ETCDCTL_PASSWORD'], file: 'LEASH_PASSWORD'},
  passwordFile: {flag: 'password-file', environment: ['LEASH_PASSWORD_FILE'], file: 'LEASH_PASSWORD_FILE'},
  insecureTransport: {
    flag: 'insecure-transport',
    environment: ['LEASH_INSECURE_TRANSPORT', 'ETCDCTL_INSECURE_TRANSPORT'],
    file: 'LEASH_INSECURE_TRANSPORT',
  },
} satisfies Record<string, Source>

const fileVariables = Object.values(sources).map(({file}) => file)

const dayMs = 24 * 60 * 60 * 1000

/** An etcd election or defragmentation must not end a fleet's jobs. */
const defaultTtlMs = 30_000
const ttlBounds: DurationBounds = {
  zeroAllowed: false,
  maxMs: dayMs,
  because: 'because the lock of a machine that vanishes stays taken for the whole TTL',
}
const lockDelayBounds: DurationBounds = {
  zeroAllowed: true,
  maxMs: dayMs,
  because: 'because the lock of a machine that vanishes stays taken for so long on top of the TTL',
}
/** Zero is a choice: no time between TERM and KILL. Whether a grace fits into its TTL is the timeline's to say. */
const graceBounds: DurationBounds = {
  zeroAllowed: true,
  maxMs: dayMs,
  because: 'because the grace is a part of the TTL',
}
const defaultConnectTimeoutMs = 10_000
const connectTimeoutBounds: DurationBounds = {
  zeroAllowed: false,
  maxMs: dayMs,
  because: 'because a job that cannot reach etcd for so long should fail where somebody sees it',
}

/**
 * Reads every setting and checks those that count: a value that a nearer source overrides is not looked at.
 *
 * @throws LeashError `usage` for a wrong flag; `config` for a wrong value in the environment or a file, a file that others
 *   can write, a profile that exists nowhere, or no endpoint at all where no person is told which engine that means
 */
export function loadSettings(flags: SettingsFlags, world: World = systemWorld()): Settings {
  const profile = fromFlag(flags, 'profile') ?? fromEnvironment(world, ['LEASH_PROFILE'])
  const files = readProfile(profile, fileVariables, world)
  const find = (source: Source): Given | undefined =>
    (source.flag && fromFlag(flags, source.flag)) ??
    fromEnvironment(world, source.environment) ??
    fromFiles(files, source.file)

  const insecureTransport = setting(find(sources.insecureTransport), parseBoolean, undefined)
  const {ca, certificate, key, serverName, user, password, passwordFile} = sources
  const tls = {ca: find(ca), certificate: find(certificate), key: find(key), serverName: find(serverName)}
  const chosen: Given | undefined = flags.local
    ? {text: localEngine.url, origin: {kind: 'flag', name: '--local'}}
    : find(sources.endpoints)
  refuseForeignWays(world.environment, chosen?.origin)
  if (chosen === undefined && (!world.isTold || flags.quiet)) throw nothingConfigured(world)
  const given: Given = chosen ?? {text: localEngine.url, origin: {kind: 'default'}}
  const usualScheme = wantsTls(tls) || insecureTransport.value === false ? 'https' : 'http'
  const endpoints = parseEndpoints(given, usualScheme)
  const isSecure = endpoints.every(({scheme}) => scheme === 'https')
  const isLocal = endpoints.includes(localEngine)
  const who = {user: find(user), password: find(password), passwordFile: find(passwordFile)}
  if (isLocal) {
    if (!flags.isLocalAlready) refuseForLocal([...Object.values(tls), ...Object.values(who)])
  } else if (isSecure) refuseBlindTrust(world.environment)
  else refusePlainText(tls)
  const credentials = isLocal ? undefined : readCredentials(who, world.uid)
  if (!isSecure && !isLocal) refuseInsecure(credentials, insecureTransport)
  const duration = <D>(source: Source, bounds: DurationBounds, fallback: D): Setting<number | D> =>
    setting(find(source), ({text, origin}) => parseDuration(text, origin, bounds), fallback)

  return {
    connection: {
      endpoints: {value: endpoints, origin: given.origin},
      connectTimeoutMs: duration(sources.connectTimeout, connectTimeoutBounds, defaultConnectTimeoutMs),
      prefix: setting(find(sources.prefix), parsePrefix, defaultPrefix),
      tls: isSecure ? readTls(tls) : undefined,
      credentials,
      insecureTransport,
    },
    timing: {
      ttlMs: duration(sources.ttl, ttlBounds, defaultTtlMs),
      lockDelayMs: duration(sources.lockDelay, lockDelayBounds, 0),
      graceMs: duration(sources.grace, graceBounds, undefined),
    },
  }
}

function setting<T, D>(given: Given | undefined, parse: (given: Given) => T, fallback: D): Setting<T | D> {
  if (given === undefined) return {value: fallback, origin: {kind: 'default'}}
  return {value: parse(given), origin: given.origin}
}

function fromFlag(flags: SettingsFlags, flag: keyof SettingsFlags): Given | undefined {
  const value = flags[flag]
  return value === undefined ? undefined : {text: String(value), origin: {kind: 'flag', name: `--${flag}`}}
}

/**
 * Only the names of settings are asked for. Other `LEASH_` variables are no mistake: a child of leash inherits those that
 * name its lock.
 */
function fromEnvironment({environment}: World, names: readonly string[]): Given | undefined {
  for (const variable of names) {
    const text = environment[variable]
    if (text) return {text, origin: {kind: 'environment', variable}}
  }
  return undefined
}

function fromFiles(files: readonly SettingsFile[], variable: string): Given | undefined {
  for (const {path, variables} of files) {
    const text = variables.get(variable)
    if (text) return {text, origin: {kind: 'file', path, variable}}
  }
  return undefined
}
