import {execFileSync} from 'node:child_process'
import {rmSync} from 'node:fs'
import path from 'node:path'
import {etcdctl, type EtcdServer, type EtcdVersion} from './EtcdServer.ts'
import {call} from './etcdGateway.ts'
import {scratchDirectory} from './scratch.ts'

/** How etcd makes tokens: random ones that it remembers, or signed ones that carry all they say. */
export type TokenKind = 'simple' | 'jwt'

/** What an etcd needs to give tokens that expire after a time. `using` removes its keys. */
export class Tokens implements Disposable {
  /** For `EtcdOptions`. */
  readonly flags: readonly string[]
  readonly #directory = scratchDirectory('tokens')

  /** @param lifeS etcd takes whole seconds, and looks once in a second which simple tokens have expired */
  constructor(kind: TokenKind, lifeS: number) {
    if (kind === 'simple') {
      this.flags = ['--auth-token-ttl', String(lifeS)]
      return
    }
    const [key, publicKey] = ['key', 'pub'].map((name) => path.join(this.#directory, name)) as [
      string,
      string,
    ]
    const openssl = (...args: string[]): void => {
      execFileSync('openssl', args, {stdio: ['ignore', 'ignore', 'pipe']})
    }
    openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', key)
    openssl('pkey', '-in', key, '-pubout', '-out', publicKey)
    const jwt = `jwt,pub-key=${publicKey},priv-key=${key},sign-method=RS256,ttl=${lifeS}s`
    this.flags = ['--auth-token', jwt]
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, {recursive: true})
  }
}

/** The user whom leash is in tests, and what leash must not let anybody see. */
export const user = 'deploy'
export const password = 'correct horse'
export const role = 'leash'

/** That user, in plain text. */
export const credentials: Readonly<Record<string, string>> = {
  LEASH_USER: user,
  LEASH_PASSWORD: password,
  LEASH_INSECURE_TRANSPORT: 'true',
}

const rootPassword = 'root of all'

/** A part of what a user may do with keys. */
export interface Right {
  readonly type: 'READ' | 'WRITE' | 'READWRITE'
  readonly key: string
  /** All keys that begin so. */
  readonly prefix?: boolean
}

/**
 * Makes root, and the user with a role that has these rights, and turns authentication on. What tests see through
 * `etcdGateway` they see no more: ask `asRoot`.
 */
export const enableUsers = async (url: string, rights: readonly Right[]): Promise<void> => {
  const auth = (what: string, body: object): Promise<unknown> => call(url, `/v3/auth/${what}`, body)
  await auth('user/add', {name: 'root', password: rootPassword})
  await auth('role/add', {name: 'root'})
  await auth('user/grant', {user: 'root', role: 'root'})
  await auth('user/add', {name: user, password})
  await auth('role/add', {name: role})
  for (const {type, key, prefix} of rights) {
    const end = prefix ? {range_end: Buffer.from(next(key)).toString('base64')} : {}
    const perm = {permType: type, key: Buffer.from(key).toString('base64'), ...end}
    await auth('role/grant', {name: role, perm})
  }
  await auth('user/grant', {user, role})
  await auth('enable', {})
}

/** Enough for ASCII. */
const next = (prefix: string): string =>
  prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)

/** Runs etcdctl as root. */
export const asRoot = (
  {version, url}: {version: EtcdVersion; url: string},
  ...args: string[]
): Promise<string> => etcdctl(version, url, '--user', `root:${rootPassword}`, ...args)

/** All keys, in the order of their names. */
export const keysAsRoot = async (etcd: EtcdServer): Promise<string[]> =>
  (await asRoot(etcd, 'get', '', '--from-key', '--keys-only')).split('\n').filter(Boolean)
