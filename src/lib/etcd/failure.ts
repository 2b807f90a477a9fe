import {type ServiceError, status} from '@grpc/grpc-js'
import {LeashError} from '../core/errors.ts'
import {LeaseGone} from '../core/ports.ts'

/** What an error from gRPC means for the one who called. */
export type Failure =
  /** The same request may be sent again, to this member or another one. */
  | {is: 'transient'; reason: string}
  /** The lease that the request names does not exist. */
  | {is: 'leaseGone'}
  /** A lease with the id that we chose exists: an earlier grant of ours arrived. */
  | {is: 'leaseExists'}
  /** Trying again would not help. */
  | {is: 'final'; error: Error}

/** Codes after which a repeated request may do better. `UNKNOWN` and `INTERNAL` are what broken streams end with. */
const transientCodes: ReadonlySet<number> = new Set([
  status.CANCELLED,
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.RESOURCE_EXHAUSTED,
  status.ABORTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
])

/** Refusals whose code does not say so (etcd's `v3rpc/rpctypes`). */
const refusals = /permission denied|authentication/
/** Authentication is on, and we came without a name. */
const nameless = /user name is empty/
/** What a new token mends. One that was refused twice in a row meets a member that is still behind the others. */
const staleToken = /invalid auth token|auth store is old/

/** Sorts an error that a call to `endpoint` ended with. */
export function classify(error: unknown, endpoint: string): Failure {
  if (!hasCode(error)) return {is: 'final', error: error instanceof Error ? error : new Error(String(error))}
  const {code, details} = error
  if (details.includes('lease already exists')) return {is: 'leaseExists'}
  if (details.includes('requested lease not found')) return {is: 'leaseGone'}
  if (staleToken.test(details)) return {is: 'transient', reason: describe(details, endpoint)}
  if (nameless.test(details)) {
    const message = `etcd at ${endpoint} wants to know a user, and leash was given none`
    const wayOut = 'set LEASH_USER and LEASH_PASSWORD_FILE'
    return {is: 'final', error: new LeashError('permission', message, wayOut, {cause: error})}
  }
  if (code === status.PERMISSION_DENIED || code === status.UNAUTHENTICATED || refusals.test(details)) {
    const wayOut = 'check the user and the role that etcd gives it'
    return {
      is: 'final',
      error: new LeashError('permission', `etcd at ${endpoint} refuses: ${details}`, wayOut, {cause: error}),
    }
  }
  if (transientCodes.has(code)) return {is: 'transient', reason: describe(details, endpoint)}
  const wayOut = 'check that the endpoint is an etcd of version 3.4 or newer'
  return {
    is: 'final',
    error: new LeashError('unavailable', `${endpoint}: ${details}`, wayOut, {cause: error}),
  }
}

/** The error to throw for a failure that must not be retried. */
export function toError(failure: Exclude<Failure, {is: 'transient'}>): Error {
  switch (failure.is) {
    case 'final':
      return failure.error
    case 'leaseGone':
      return new LeaseGone()
    case 'leaseExists':
      return new LeashError('bug', 'a lease exists that nobody granted', 'please report this')
  }
}

/** What happened, for messages. */
export function describeFailure(failure: Failure): string {
  switch (failure.is) {
    case 'transient':
      return failure.reason
    case 'final':
      return failure.error.message
    case 'leaseGone':
      return 'the lease does not exist'
    case 'leaseExists':
      return 'the lease exists already'
  }
}

/** grpc-js wraps what the socket said in words of its own: `... Last error: Error: connect ECONNREFUSED 127.0.0.1:2379 ...`. */
function describe(details: string, endpoint: string): string {
  const socket = /(?:connect|read|write|getaddrinfo) E[A-Z_]+/.exec(details)?.[0]
  // `...:error:0A000412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate:...`
  const alert = /SSL routines:[^:]*:([^:]+):/.exec(details)?.[1]
  const last = /Last error: (?:Error(?: \[\w+\])?: )?(.+?)\. Resolution note:/s.exec(details)?.[1]
  // A connection that was closed before it stood left no error behind.
  return `${endpoint}: ${socket ?? alert ?? (last === 'null' ? 'no connection' : last) ?? details}`
}

/** Whether an error is gRPC's, or one that we have made like those. */
export function hasCode(error: unknown): error is ServiceError {
  return (
    error instanceof Error && typeof (error as Partial<ServiceError>).code === 'number' && 'details' in error
  )
}
