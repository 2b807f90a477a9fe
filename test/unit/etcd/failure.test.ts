import {status} from '@grpc/grpc-js'
import {describe, expect, test} from 'vitest'
import {LeaseGone} from '../../../src/lib/core/ports.ts'
import {classify, toError} from '../../../src/lib/etcd/failure.ts'
import {grpcError, refused} from './fakeMembers.ts'

const sort = (code: number, details: string): object => classify(grpcError(code, details), 'http://e:1')

test.each([
  ['no leader', status.UNAVAILABLE, 'etcdserver: no leader'],
  ['a leader that changed', status.UNAVAILABLE, 'etcdserver: leader changed'],
  ['a request that etcd gave up', status.UNAVAILABLE, 'etcdserver: request timed out'],
  ['a request that etcd could not take', status.RESOURCE_EXHAUSTED, 'etcdserver: too many requests'],
  ['a broken stream', status.INTERNAL, 'Received RST_STREAM with code 2'],
  ['a cancelled call', status.CANCELLED, 'Call cancelled'],
  ['a token that has expired', status.UNAUTHENTICATED, 'etcdserver: invalid auth token'],
  [
    'a token that is older than users and roles',
    status.INVALID_ARGUMENT,
    'etcdserver: revision of auth store is old',
  ],
])('%s may be asked again', (_, code, details) => {
  expect(sort(code, details)).toEqual({is: 'transient', reason: `http://e:1: ${details}`})
})

test('what the socket said is said, and not what gRPC made of it', () => {
  expect(classify(refused(), 'http://e:1')).toEqual({
    is: 'transient',
    reason: 'http://e:1: connect ECONNREFUSED',
  })
})

test.each([
  ['Error: certificate has expired', 'certificate has expired'],
  [
    "Error [ERR_TLS_CERT_ALTNAME_INVALID]: Hostname/IP does not match certificate's altnames: IP: 10.0.0.7 is not in the cert's list: ",
    "Hostname/IP does not match certificate's altnames: IP: 10.0.0.7 is not in the cert's list: ",
  ],
  [
    '80CC:error:0A000412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate:rec.c:1601:SSL alert number 42',
    'sslv3 alert bad certificate',
  ],
  // Of a connection that was closed before it stood.
  ['null', 'no connection'],
])('what TLS or the socket said is said, and not what gRPC made of it: %s', (last, reason) => {
  const details = `No connection established. Last error: ${last}. Resolution note: `
  expect(sort(status.UNAVAILABLE, details)).toEqual({is: 'transient', reason: `http://e:1: ${reason}`})
})

test.each([
  [status.PERMISSION_DENIED, 'etcdserver: permission denied'],
  [status.UNAUTHENTICATED, 'something else'],
  [status.INVALID_ARGUMENT, 'etcdserver: authentication failed, invalid user ID or password'],
])('a refusal is not asked again: %i %s', (code, details) => {
  expect(sort(code, details)).toMatchObject({
    is: 'final',
    error: {code: 'permission', message: `etcd at http://e:1 refuses: ${details}`},
  })
})

test('who was given no name is told how to give one', () => {
  expect(sort(status.INVALID_ARGUMENT, 'etcdserver: user name is empty')).toMatchObject({
    is: 'final',
    error: {
      code: 'permission',
      message: 'etcd at http://e:1 wants to know a user, and leash was given none',
      wayOut: 'set LEASH_USER and LEASH_PASSWORD_FILE',
    },
  })
})

test('a server that does not know the request is no etcd', () => {
  expect(sort(status.UNIMPLEMENTED, 'unknown service')).toMatchObject({
    is: 'final',
    error: {code: 'unavailable', message: 'http://e:1: unknown service'},
  })
})

test('a lease that is not there, and one that is, are told apart', () => {
  expect(sort(status.NOT_FOUND, 'etcdserver: requested lease not found')).toEqual({is: 'leaseGone'})
  expect(sort(status.FAILED_PRECONDITION, 'etcdserver: lease already exists')).toEqual({is: 'leaseExists'})
})

test.each([new TypeError('a bug'), 'text', undefined])(
  'what is no error of gRPC is not asked again: %s',
  (thrown) => {
    const failure = classify(thrown, 'http://e:1')
    expect(failure.is).toBe('final')
    expect(failure.is === 'final' && failure.error).toBeInstanceOf(Error)
  },
)

describe('as an error', () => {
  test('each failure has its own', () => {
    const error = new Error('final')
    expect(toError({is: 'final', error})).toBe(error)
    expect(toError({is: 'leaseGone'})).toBeInstanceOf(LeaseGone)
    expect(toError({is: 'leaseExists'})).toMatchObject({code: 'bug'})
  })
})
