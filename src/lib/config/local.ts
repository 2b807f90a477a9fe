import {join} from 'node:path'
import {LeashError} from '../core/errors.ts'
import {blame, describeOrigin, type Given} from './origin.ts'
import type {World} from './world.ts'

/**
 * For the engine of this machine: refuses what is for an etcd. Whoever has prepared that means locks that more than this
 * machine respects. No message contains a value: it may be a password.
 *
 * @throws LeashError `config` or `usage`
 */
export function refuseForLocal(settings: readonly (Given | undefined)[]): void {
  const first = settings.find((setting) => setting !== undefined)
  if (first === undefined) return
  throw new LeashError(
    blame(first.origin),
    `${describeOrigin(first.origin)} is for an etcd, and the engine of this machine has neither TLS nor users`,
    'unset it, or name the members of the etcd in LEASH_ENDPOINTS',
  )
}

/** Nobody would see that ten machines have ten local locks. */
export function nothingConfigured({systemDirectory = '/etc/leash'}: World): LeashError {
  return new LeashError(
    'config',
    'no etcd endpoint is configured',
    `set LEASH_ENDPOINTS, or write LEASH_ENDPOINTS=host:2379 to ${join(systemDirectory, 'leash.env')}; for locks of this user on this machine alone give --local, or LEASH_ENDPOINTS=local`,
  )
}
