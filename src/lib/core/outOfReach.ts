import {LeashError} from './errors.ts'
import type {LeaseStore} from './ports.ts'

/** The error for a server that has not answered for as long as it was waited for: `unavailable`. */
export function outOfReach({server, lastFailure}: Pick<LeaseStore, 'server' | 'lastFailure'>): LeashError {
  return new LeashError('unavailable', `${server.name} cannot be reached: ${lastFailure}`, server.wayOut)
}
