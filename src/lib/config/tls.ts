import {readFileSync} from 'node:fs'
import {isAbsolute, resolve} from 'node:path'
import {type Given, type Setting, refused} from './origin.ts'

/** A file in PEM format, as it was when the settings were read. */
export type Pem = {
  /** Absolute. */
  readonly path: string
  readonly bytes: Buffer
}

/** How leash knows etcd's members, and how they know leash. */
export type Tls = {
  /** Who vouches for the members; undefined: whom Node trusts. */
  readonly ca: Setting<Pem | undefined>
  /** What leash shows to members that ask for it; there are both or neither. */
  readonly certificate: Setting<Pem | undefined>
  readonly key: Setting<Pem | undefined>
  /** What the members' certificates must name, if not the host of the endpoint. */
  readonly serverName: Setting<string | undefined>
}

/** The texts of its settings, as they were found. */
export type GivenTls = {readonly [name in keyof Tls]: Given | undefined}

const certificateBlock = /^-----BEGIN (?:TRUSTED )?CERTIFICATE-----$/m
const keyBlock = /^-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY-----$/m
const encrypted = /^-----BEGIN ENCRYPTED PRIVATE KEY-----$|^Proc-Type: 4,ENCRYPTED$/m
const name = /^[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/i

/**
 * Reads the files that TLS needs.
 *
 * @throws LeashError `config` (or `usage`, for a flag) for a file that cannot be read or holds something else, an encrypted
 *   key, a certificate without a key, or a server name that is none
 */
export function readTls({ca, certificate, key, serverName}: GivenTls): Tls {
  if (certificate !== undefined && key === undefined)
    throw refused(certificate, 'is of no use without its key', 'set LEASH_CLIENT_KEY, too')
  if (key !== undefined && certificate === undefined)
    throw refused(key, 'is of no use without its certificate', 'set LEASH_CLIENT_CERT, too')
  return {
    ca: setting(ca, readCertificate),
    certificate: setting(certificate, readCertificate),
    key: setting(key, readKey),
    serverName: setting(serverName, readName),
  }
}

/** Whether anything of TLS is configured: then an endpoint without a scheme means https. */
export function wantsTls(given: GivenTls): boolean {
  return firstOf(given) !== undefined
}

/**
 * Refuses to speak in plain text where somebody has prepared TLS.
 *
 * @throws LeashError `config` or `usage`
 */
export function refusePlainText(given: GivenTls): void {
  const first = firstOf(given)
  if (first === undefined) return
  throw refused(
    first,
    'is for TLS, but the endpoints are http, so nothing would be encrypted',
    'write https:// for every endpoint, or unset it',
  )
}

function firstOf({ca, certificate, key, serverName}: GivenTls): Given | undefined {
  return ca ?? certificate ?? key ?? serverName
}

function setting<T>(given: Given | undefined, read: (given: Given) => T): Setting<T | undefined> {
  return given === undefined
    ? {value: undefined, origin: {kind: 'default'}}
    : {value: read(given), origin: given.origin}
}

function readCertificate(given: Given): Pem {
  const pem = readPem(given)
  if (!certificateBlock.test(pem.bytes.toString('latin1')))
    throw refused(given, 'holds no certificate', 'name a file in PEM format: -----BEGIN CERTIFICATE-----')
  return pem
}

function readKey(given: Given): Pem {
  const pem = readPem(given)
  const text = pem.bytes.toString('latin1')
  if (encrypted.test(text))
    throw refused(
      given,
      'holds an encrypted key, and nobody is there to decrypt it',
      'name one without a passphrase',
    )
  if (!keyBlock.test(text))
    throw refused(given, 'holds no private key', 'name a file in PEM format: -----BEGIN PRIVATE KEY-----')
  return pem
}

function readPem(given: Given): Pem {
  const {text, origin} = given
  if (origin.kind === 'file' && !isAbsolute(text))
    throw refused(given, 'is not an absolute path', 'begin it with a slash: leash may be started anywhere')
  const path = resolve(text)
  try {
    return {path, bytes: readFileSync(path)}
  } catch (error) {
    const {code, message} = error as NodeJS.ErrnoException
    throw refused(given, `cannot be read (${code ?? message})`, 'check the path and its permissions')
  }
}

function readName(given: Given): string {
  if (!name.test(given.text))
    throw refused(
      given,
      'is not a name that a certificate can carry',
      'write a host name, without scheme and port',
    )
  return given.text
}
