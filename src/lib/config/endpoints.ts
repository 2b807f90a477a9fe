import {LeashError} from '../core/errors.ts'
import {blame, describeOrigin, type Given, refused} from './origin.ts'

/** One member of an etcd cluster, or the engine of this user on this machine, which stands alone. */
export type Endpoint = Member | typeof localEngine

/** What a user writes for the engine, and what stands for it wherever URLs would: each program finds its place by itself. */
export const localEngine = {scheme: 'local', url: 'local'} as const

type Member = {
  readonly scheme: 'http' | 'https'
  /** A name, an IPv4 address, or an IPv6 address without brackets; lower case. */
  readonly host: string
  readonly port: number
  /** The whole in normal form, without a slash at the end: `http://10.0.0.7:2379`, `http://[::1]:2379`. */
  readonly url: string
}

const example = 'http://127.0.0.1:2379'
const parts =
  /^(?:(?<scheme>https?):\/\/)?(?<host>\[[^\]]*\]|[^[\]:/?#]*)(?::(?<port>\d*))?(?<rest>[/?#].*)?$/is
const otherScheme = /^(?!https?:)[a-z][a-z0-9+.-]*:\/\//i
const bareIpv6 = /^(?:https?:\/\/)?[0-9a-f.]*:[0-9a-f.:]*:[0-9a-f.:]*\/?$/i
/** Letters, digits, dots and hyphens as in RFC 1123, and the underscore that container networks use in names. */
const hostName = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_.])?$/i
const numeric = /^[\d.]+$/
const ipv4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/

/**
 * Reads a comma-separated list of endpoints: `https://host:port`, or `host:port`; or `local`, alone, but not in
 * etcdctl's variable. The result has at least one, all of one scheme and no two the same, so that a second member that is
 * asked is another one.
 *
 * @param usualScheme what `host:port` means
 * @throws LeashError `usage` (from a flag) or `config`, naming the entry that is wrong, or without any value if one carries
 *   credentials; always `config` for what other versions may know and this one does not: `unix:`
 */
export function parseEndpoints(given: Given, usualScheme: Member['scheme'] = 'http'): readonly Endpoint[] {
  if (namesEngine(given)) return [localEngine]
  // First, because commas in a password would split it over several entries, and a message shows an entry.
  if (given.text.includes('@')) throw mayCarryCredentials(given)
  if (given.text.trim() === '') throw refused(given, 'names no endpoint', `write for example ${example}`)
  const found = new Map<string, Member>()
  for (const text of given.text.split(',')) {
    const endpoint = parseEndpoint({text: text.trim(), origin: given.origin}, usualScheme)
    found.set(endpoint.url, endpoint)
  }
  const endpoints = [...found.values()]
  const schemes = new Set(endpoints.map(({scheme}) => scheme))
  if (schemes.size > 1)
    throw refused(
      given,
      'mixes http and https: one connection policy holds for all members, so some would be reached in plain text',
      'write the same scheme for every endpoint',
    )
  return endpoints
}

/** etcdctl knows of no such engine: there it is a host. */
function namesEngine({text, origin}: Given): boolean {
  if (origin.kind === 'environment' && origin.variable === 'ETCDCTL_ENDPOINTS') return false
  return text.trim() === localEngine.url
}

function parseEndpoint(entry: Given, usualScheme: Member['scheme']): Member {
  const {text} = entry
  if (text === '') throw refused(entry, 'is an empty entry in the list', 'remove the comma that is too many')
  if (namesEngine(entry))
    throw refused(
      entry,
      'stands beside other endpoints: it is the engine of this machine, and no member of a cluster',
      'keep it alone, or leave it out',
    )
  if (/^unix:/i.test(text))
    throw refused(
      entry,
      'asks for a Unix socket: this version of leash reaches etcd over TCP only',
      `write for example ${example}, or local for the engine of this user on this machine`,
      'config',
    )
  if (otherScheme.test(text))
    throw refused(entry, 'has a scheme other than http and https', `write for example ${example}`)
  if (bareIpv6.test(text))
    throw refused(entry, 'is an IPv6 address without brackets', 'write for example http://[::1]:2379')
  const match = parts.exec(text)?.groups
  if (!match) throw refused(entry, 'is not an endpoint', `write for example ${example}`)
  if (match.rest !== undefined && match.rest !== '/')
    throw refused(entry, 'has a path or a query, which etcd does not know', `write for example ${example}`)
  const host = readHost(match.host ?? '')
  if (host === undefined)
    throw refused(entry, 'does not name a host', `write a host name or an address, for example ${example}`)
  if (!match.port) throw refused(entry, 'has no port', `add the port, etcd's own is 2379`)
  const port = Number(match.port)
  if (port < 1 || port > 65_535)
    throw refused(entry, 'has a port that is not between 1 and 65535', `etcd's own is 2379`)
  const scheme =
    match.scheme === undefined ? usualScheme : match.scheme.toLowerCase() === 'https' ? 'https' : 'http'
  return {scheme, host, port, url: `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`}
}

function readHost(text: string): string | undefined {
  if (text.startsWith('[')) return readIpv6(text)
  if (!hostName.test(text) || (numeric.test(text) && !ipv4.test(text))) return undefined
  return text.toLowerCase()
}

/** The URL parser knows IPv6 and is there anyway; `node:net` would be one more module at start. */
function readIpv6(bracketed: string): string | undefined {
  const url = `http://${bracketed}/`
  return URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : undefined
}

/** Without the value: what stands before the @ may be a password. */
function mayCarryCredentials({origin}: Given): LeashError {
  return new LeashError(
    blame(origin),
    `${describeOrigin(origin)} contains an @, and so perhaps a password: an endpoint is a host and a port only`,
    `write for example ${example}`,
  )
}
