import {status} from '@grpc/grpc-js'
import {Clock} from '../../../src/lib/core/clock.ts'
import {CallPolicy} from '../../../src/lib/etcd/callPolicy.ts'
import type {Member} from '../../../src/lib/etcd/member.ts'
import {FakeClock} from '../../support/fakeClock.ts'

type Unary = (method: string, request: unknown, signal: AbortSignal) => Promise<unknown>
type Stream = (request: unknown, onAnswer: (answer: unknown) => boolean, signal: AbortSignal) => Promise<void>

/** A member that answers as the test says. */
export class FakeMember {
  readonly endpoint: string
  /** How often its connection was thrown away. */
  resets = 0
  onUnary: Unary = () => endless
  onStream: Stream = () => endless

  constructor(endpoint: string) {
    this.endpoint = endpoint
  }

  unary(_service: string, method: string, request: unknown, signal: AbortSignal): Promise<unknown> {
    return orAborted(this.onUnary(method, request, signal), signal)
  }

  stream(
    _service: string,
    _method: string,
    request: unknown,
    onAnswer: (answer: unknown) => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    return orAborted(this.onStream(request, onAnswer, signal), signal)
  }

  reset(): void {
    this.resets++
  }

  /** The same to those who know the real one only. */
  get asMember(): Member {
    return this as unknown as Member
  }
}

/** What never comes. */
export const endless = new Promise<never>(() => {})

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    promise.then(resolve, reject)
    signal.addEventListener('abort', () => reject(signal.reason as Error), {once: true})
  })
}

/** An error as gRPC gives it. */
export const grpcError = (code: number, details: string): Error =>
  Object.assign(new Error(`${code} ${details}`), {code, details})

export const refused = (): Error =>
  grpcError(
    status.UNAVAILABLE,
    'No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:1.',
  )

export interface Cluster {
  time: FakeClock
  clock: Clock
  policy: CallPolicy
  a: FakeMember
  b: FakeMember
  c: FakeMember
}

/** Members a, b and c (or fewer) and a policy for them. */
export function clusterOf(size: 1 | 2 | 3): Cluster {
  const time = new FakeClock()
  const clock = new Clock(time)
  const [a, b, c] = [new FakeMember('a'), new FakeMember('b'), new FakeMember('c')]
  const others = [b, c].slice(0, size - 1).map((member) => member.asMember)
  return {time, clock, policy: new CallPolicy([a.asMember, ...others], clock), a, b, c}
}
