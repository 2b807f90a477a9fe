import {formatDuration} from './duration.ts'
import {describeOrigin, type Setting} from './origin.ts'
import type {Settings} from './settings.ts'

/** Each setting with its value and where that came from, for example `ttl 30s (default)`. */
export function describeSettings({connection, timing}: Settings): string[] {
  const duration = ({value, origin}: Setting<number | undefined>): string =>
    `${value === undefined ? 'in proportion to the TTL' : formatDuration(value)} (${describeOrigin(origin)})`
  return [
    `endpoints ${connection.endpoints.value.map(({url}) => url).join(', ')} (${describeOrigin(connection.endpoints.origin)})`,
    `prefix ${connection.prefix.value} (${describeOrigin(connection.prefix.origin)})`,
    `connect-timeout ${duration(connection.connectTimeoutMs)}`,
    `ttl ${duration(timing.ttlMs)}`,
    `lock-delay ${duration(timing.lockDelayMs)}`,
    `grace ${duration(timing.graceMs)}`,
  ]
}
