import {isAbsolute, resolve} from 'node:path'
import {LeashError} from '../core/errors.ts'
import {blame, describeOrigin, type Given, type Origin, refused, type Setting} from './origin.ts'
import {readSecretFile, requireSecret} from './secretFile.ts'

/** How etcd knows leash. */
export type Credentials = {
  readonly user: Setting<string>
  /** Nothing prints it. */
  readonly password: Setting<string>
  /** Absolute, if the password was read from a file of its own. */
  readonly passwordFile: string | undefined
}

/** The texts of its settings, as they were found. */
export type GivenCredentials = {
  /** A name, or `name:password` as etcdctl has it. */
  readonly user: Given | undefined
  readonly password: Given | undefined
  readonly passwordFile: Given | undefined
}

/** Variables that carry a password in any case, and those that carry one behind a colon. */
const passwordVariables = ['LEASH_PASSWORD', 'ETCDCTL_PASSWORD']
const userVariables = ['LEASH_USER', 'ETCDCTL_USER']

/**
 * Reads who we are to etcd; undefined if nothing says so. No message contains a password, nor a user's name that may be one
 * with its password.
 *
 * @param uid the user's who runs leash
 * @throws LeashError `config` (or `usage`, for a flag) for a name without a password or the other way round, for a password
 *   that is given twice, and for one in a file that others than its owner can read
 */
export function readCredentials(given: GivenCredentials, uid: number): Credentials | undefined {
  const {user} = given
  const apart = chosenPassword(given)
  if (user === undefined) {
    if (apart === undefined) return undefined
    throw unquoted(apart, 'is of no use without a user', 'set LEASH_USER, too')
  }
  const [name = '', ...rest] = user.text.split(':')
  if (name === '') throw unquoted(user, 'begins with a colon', 'write NAME or NAME:PASSWORD')
  const setting = {value: name, origin: user.origin}
  if (rest.length > 0) {
    if (apart !== undefined)
      throw unquoted(
        user,
        `carries a password, and ${describeOrigin(apart.origin)} gives one, too`,
        'keep one of them',
      )
    const password = checked({text: rest.join(':'), origin: user.origin})
    return {user: setting, password: {value: password, origin: user.origin}, passwordFile: undefined}
  }
  if (apart === undefined) {
    const wayOut = 'set LEASH_PASSWORD_FILE or LEASH_PASSWORD; a job of leash does not inherit the latter'
    throw refused(user, 'is a user without a password', wayOut)
  }
  if (apart !== given.passwordFile)
    return {user: setting, password: {value: checked(apart), origin: apart.origin}, passwordFile: undefined}
  const passwordFile = pathOf(apart)
  const value = readSecretFile(passwordFile, uid)
  return {user: setting, password: {value, origin: apart.origin}, passwordFile}
}

/**
 * For endpoints at http: refuses to send a password unless plain text is wanted, and anything where that is forbidden.
 *
 * @param insecureTransport whether plain text is wanted; undefined if nobody has said so
 * @throws LeashError `config` or `usage`
 */
export function refuseInsecure(
  credentials: Credentials | undefined,
  insecureTransport: Setting<boolean | undefined>,
): void {
  const {value, origin} = insecureTransport
  if (value === false)
    throw new LeashError(
      blame(origin),
      `${describeOrigin(origin)} forbids plain text, but the endpoints are http`,
      'write https:// for every endpoint',
    )
  if (value === true || credentials === undefined) return
  throw new LeashError(
    blame(credentials.password.origin),
    `the password from ${describeOrigin(credentials.password.origin)} would be sent in plain text, because the endpoints are http`,
    'write https:// for every endpoint, or allow it with --insecure-transport where nobody else can listen',
  )
}

/** An environment for the job: without what lets somebody into etcd. The names of users and of files stay. */
export function withoutPasswords<Value extends {toString(): string}>(
  variables: Iterable<readonly [name: string, value: Value]>,
): [string, Value][] {
  return [...variables]
    .filter(
      ([name, value]) =>
        !passwordVariables.includes(name) &&
        !(userVariables.includes(name) && value.toString().includes(':')),
    )
    .map(([name, value]) => [name, value])
}

/** The nearer of the two; of two that are equally near, leash's own. */
function chosenPassword({password, passwordFile}: GivenCredentials): Given | undefined {
  if (password === undefined || passwordFile === undefined) return password ?? passwordFile
  const [one, other] = [nearness[passwordFile.origin.kind], nearness[password.origin.kind]]
  if (one !== other) return one < other ? passwordFile : password
  if (isOf(password.origin, 'ETCDCTL_PASSWORD')) return passwordFile
  throw unquoted(
    password,
    `and ${describeOrigin(passwordFile.origin)} both give a password`,
    'keep one of them',
  )
}

const nearness: Readonly<Record<Origin['kind'], number>> = {flag: 0, environment: 1, file: 2, default: 3}

function isOf(origin: Origin, variable: string): boolean {
  return origin.kind === 'environment' && origin.variable === variable
}

function checked(given: Given): string {
  if (given.origin.kind === 'file') requireSecret(given.origin.path)
  if (given.text === '') throw unquoted(given, 'has an empty password', 'write NAME:PASSWORD')
  if (given.text.includes('\ufffd')) throw unquoted(given, 'is not UTF-8', 'write the password as UTF-8')
  return given.text
}

function pathOf(given: Given): string {
  if (given.origin.kind === 'file' && !isAbsolute(given.text))
    throw refused(given, 'is not an absolute path', 'begin it with a slash: leash may be started anywhere')
  return resolve(given.text)
}

/** As `refused`, without the value. */
function unquoted({origin}: Given, rule: string, wayOut: string): LeashError {
  return new LeashError(blame(origin), `${describeOrigin(origin)} ${rule}`, wayOut)
}
