import type {Credentials} from './credentials.ts'
import {formatDuration} from './duration.ts'
import type {Endpoint} from './endpoints.ts'
import {describeOrigin, type Setting} from './origin.ts'
import type {Settings} from './settings.ts'
import type {Pem, Tls} from './tls.ts'
import {userName} from './world.ts'

/** Each setting with its value and where that came from, for example `ttl 30s (default)`. */
export function describeSettings({connection, timing}: Settings): string[] {
  const duration = ({value, origin}: Setting<number | undefined>): string =>
    `${value === undefined ? 'in proportion to the TTL' : formatDuration(value)} (${describeOrigin(origin)})`
  return [
    `endpoints ${connection.endpoints.value.map(describeEndpoint).join(', ')} (${describeOrigin(connection.endpoints.origin)})`,
    `prefix ${connection.prefix.value} (${describeOrigin(connection.prefix.origin)})`,
    ...describeTls(connection.tls),
    ...describeCredentials(connection.credentials),
    ...(connection.insecureTransport.value === undefined
      ? []
      : [
          `insecure-transport ${connection.insecureTransport.value} (${describeOrigin(connection.insecureTransport.origin)})`,
        ]),
    `connect-timeout ${duration(connection.connectTimeoutMs)}`,
    `ttl ${duration(timing.ttlMs)}`,
    `lock-delay ${duration(timing.lockDelayMs)}`,
    `grace ${duration(timing.graceMs)}`,
  ]
}

function describeEndpoint({scheme, url}: Endpoint): string {
  return scheme === 'local' ? `${url}, for user ${userName()} on this machine only` : url
}

function describeTls(tls: Tls | undefined): string[] {
  if (tls === undefined) return []
  const file = (name: string, {value, origin}: Setting<Pem | undefined>): string[] =>
    value === undefined ? [] : [`${name} ${value.path} (${describeOrigin(origin)})`]
  const {ca, certificate, key, serverName} = tls
  return [
    ...(ca.value === undefined ? ["cacert node's own"] : file('cacert', ca)),
    ...file('cert', certificate),
    ...file('key', key),
    ...(serverName.value === undefined
      ? []
      : [`server-name ${serverName.value} (${describeOrigin(serverName.origin)})`]),
  ]
}

function describeCredentials(credentials: Credentials | undefined): string[] {
  if (credentials === undefined) return []
  const {user, password, passwordFile} = credentials
  return [
    `user ${user.value} (${describeOrigin(user.origin)})`,
    `password ${passwordFile ?? 'not shown'} (${describeOrigin(password.origin)})`,
  ]
}
