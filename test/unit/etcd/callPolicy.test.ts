import {status} from '@grpc/grpc-js'
import {describe, expect, test} from 'vitest'
import {LeashError} from '../../../src/lib/core/errors.ts'
import {LeaseGone} from '../../../src/lib/core/ports.ts'
import {type Attempt, CallPolicy} from '../../../src/lib/etcd/callPolicy.ts'
import {settled} from '../../support/fakeClock.ts'
import {clusterOf, endless, grpcError, refused} from './fakeMembers.ts'

const {signal} = new AbortController()

/** Attempts that fail as told, in order, then succeed; `asked` says which member got each. */
function attempts(...failures: readonly (Error | 'silence')[]): {
  attempt: (attempt: Attempt) => Promise<string>
  asked: string[]
  repeated: boolean[]
} {
  const asked: string[] = []
  const repeated: boolean[] = []
  const attempt = (one: Attempt): Promise<string> => {
    const failure = failures[asked.push(one.member.endpoint) - 1]
    repeated.push(one.repeated)
    if (failure === 'silence') {
      return new Promise((_, reject) =>
        one.signal.addEventListener('abort', () => reject(one.signal.reason as Error)),
      )
    }
    return failure === undefined ? Promise.resolve('answer') : Promise.reject(failure)
  }
  return {attempt, asked, repeated}
}

describe('members', () => {
  test('are asked in the order given, the first one first', async () => {
    const {policy, time} = clusterOf(3)
    const {attempt, asked} = attempts(refused(), refused())
    expect(await time.passing(policy.call(signal, attempt))).toBe('answer')
    expect(asked).toEqual(['a', 'b', 'c'])
  })

  test('that answered last are asked first', async () => {
    const {policy, time} = clusterOf(3)
    await time.passing(policy.call(signal, attempts(refused()).attempt))
    const {attempt, asked} = attempts(refused(), refused())
    await time.passing(policy.call(signal, attempt))
    expect(asked).toEqual(['b', 'c', 'a'])
    expect(policy.members.map(({endpoint}) => endpoint)).toEqual(['a', 'b', 'c'])
  })

  test('within a round are asked at once; before the next round there is a pause', async () => {
    const {policy, time, clock} = clusterOf(3)
    const {attempt, asked} = attempts(...Array.from({length: 6}, refused))
    const call = policy.call(signal, attempt)
    await settled()
    expect(asked).toEqual(['a', 'b', 'c'])
    expect(clock.elapsedMs()).toBe(0)
    await time.advance(50)
    expect(asked).toHaveLength(6)
    await time.passing(call)
  })

  test('a single one is asked again after pauses that double up to a second', async () => {
    const {policy, time, clock} = clusterOf(1)
    const atMs: number[] = []
    const control = new AbortController()
    const call = policy.call(control.signal, () => {
      atMs.push(clock.elapsedMs())
      return Promise.reject(refused())
    })
    await time.advance(20_000)
    control.abort('enough')
    await expect(call).rejects.toBe('enough')
    atMs.slice(1, 8).forEach((ms, index) => {
      const pauseMs = ms - (atMs[index] ?? 0)
      const fullMs = Math.min(50 * 2 ** index, 1000)
      expect(pauseMs).toBeGreaterThanOrEqual(Math.floor(fullMs / 2))
      expect(pauseMs).toBeLessThanOrEqual(fullMs + 1)
    })
    expect(atMs.length).toBeGreaterThan(20)
  })
})

describe('an attempt', () => {
  test('may take a second, then another member is asked and the connection is thrown away', async () => {
    const {policy, time, a, b} = clusterOf(2)
    const {attempt, asked} = attempts('silence')
    const call = policy.call(signal, attempt)
    await time.advance(999)
    expect(asked).toEqual(['a'])
    await time.advance(1)
    expect(await call).toBe('answer')
    expect(asked).toEqual(['a', 'b'])
    expect([a.resets, b.resets]).toEqual([1, 0])
    expect(policy.lastFailure).toBe('a: no answer in time')
  })

  test('may take longer later, up to five seconds, for a member that is slow and not dead', async () => {
    const {policy, time, clock} = clusterOf(1)
    const startsMs: number[] = []
    const endsMs: number[] = []
    const control = new AbortController()
    const call = policy.call(control.signal, async ({signal: limited}) => {
      startsMs.push(clock.elapsedMs())
      await new Promise((_, reject) =>
        limited.addEventListener('abort', () => {
          endsMs.push(clock.elapsedMs())
          reject(limited.reason as Error)
        }),
      )
    })
    await time.advance(40_000)
    control.abort('enough')
    await expect(call).rejects.toBe('enough')
    const took = endsMs.map((ms, index) => ms - (startsMs[index] ?? 0))
    expect(took.slice(0, 8)).toEqual([1000, 1000, 2000, 2000, 4000, 4000, 5000, 5000])
  })

  test('knows whether an earlier one may have arrived', async () => {
    const {policy, time} = clusterOf(2)
    const {attempt, repeated} = attempts(refused(), refused())
    await time.passing(policy.call(signal, attempt))
    expect(repeated).toEqual([false, true, true])
  })

  test('that is not answered while the machine is suspended is given up', async () => {
    const {policy, time} = clusterOf(2)
    const {attempt, asked} = attempts('silence')
    const call = policy.call(signal, attempt)
    time.suspend(60_000)
    await time.advance(1000)
    expect(await call).toBe('answer')
    expect(asked).toEqual(['a', 'b'])
  })
})

describe('a failure', () => {
  test('that a retry cannot mend is not retried', async () => {
    const {policy} = clusterOf(3)
    const {attempt, asked} = attempts(grpcError(status.PERMISSION_DENIED, 'etcdserver: permission denied'))
    await expect(policy.call(signal, attempt)).rejects.toMatchObject({code: 'permission'})
    expect(asked).toEqual(['a'])
  })

  test('of a server that is no etcd is not retried', async () => {
    const {policy} = clusterOf(1)
    const {attempt} = attempts(grpcError(status.UNIMPLEMENTED, 'unknown service etcdserverpb.KV'))
    await expect(policy.call(signal, attempt)).rejects.toMatchObject({code: 'unavailable'})
  })

  test('because the lease is gone is LeaseGone', async () => {
    const {policy} = clusterOf(1)
    const {attempt} = attempts(grpcError(status.NOT_FOUND, 'etcdserver: requested lease not found'))
    await expect(policy.call(signal, attempt)).rejects.toBeInstanceOf(LeaseGone)
  })

  test('that the caller can read as an answer is one, and no failure for messages', async () => {
    const {policy} = clusterOf(1)
    const {attempt} = attempts(grpcError(status.FAILED_PRECONDITION, 'etcdserver: lease already exists'))
    const recover = ({is}: {is: string}): string | undefined => (is === 'leaseExists' ? 'exists' : undefined)
    expect(await policy.call(signal, attempt, recover)).toBe('exists')
    expect(policy.lastFailure).toBeUndefined()
  })

  test('is remembered with its member and what the socket said', async () => {
    const {policy, time} = clusterOf(2)
    await time.passing(policy.call(signal, attempts(refused()).attempt))
    expect(policy.lastFailure).toBe('a: connect ECONNREFUSED')
  })

  test('that comes together with the end of the call is not what the call ends with', async () => {
    const {policy} = clusterOf(1)
    const control = new AbortController()
    const call = policy.call(control.signal, () => {
      control.abort('told to')
      return Promise.reject(refused())
    })
    await expect(call).rejects.toBe('told to')
  })
})

describe("the end of the caller's patience", () => {
  test('ends an attempt, with the reason', async () => {
    const {policy} = clusterOf(2)
    const control = new AbortController()
    const call = policy.call(control.signal, attempts('silence').attempt)
    control.abort('told to')
    await expect(call).rejects.toBe('told to')
    expect(policy.lastFailure).toBeUndefined()
  })

  test('ends a pause, with the reason', async () => {
    const {policy, time} = clusterOf(1)
    const control = new AbortController()
    const call = policy.call(control.signal, attempts(refused()).attempt)
    await settled()
    control.abort('told to')
    await expect(call).rejects.toBe('told to')
    expect(time.timerCount).toBe(0)
  })
})

describe('a server that can be brought back', () => {
  const withRevival = (revive: () => Promise<void>) => {
    const {time, clock, a} = clusterOf(1)
    return {time, a, policy: new CallPolicy([a.asMember], clock, revive)}
  }

  test('is, once for all calls that miss it, and then they are repeated on a new connection', async () => {
    let revivals = 0
    let back = (): void => {}
    const {policy, time, a} = withRevival(() => {
      revivals++
      return new Promise((resolve) => (back = resolve))
    })
    const calls = [1, 2].map(() => attempts(refused()))
    const answers = Promise.all(calls.map(({attempt}) => policy.call(signal, attempt)))
    await time.advance(5000)
    expect(calls.map(({asked}) => asked)).toEqual([['a'], ['a']])
    back()
    expect(await time.passing(answers)).toEqual(['answer', 'answer'])
    expect({revivals, resets: a.resets}).toEqual({revivals: 1, resets: 1})
  })

  test('is said to be away for what keeps it away, until it is back', async () => {
    let fault: Error | undefined = new Error('the disk is full')
    const {policy, a, time} = withRevival(() =>
      fault === undefined ? Promise.resolve() : Promise.reject(fault),
    )
    const reasonOf = async (): Promise<unknown> => {
      const failure = policy.noteFailure(refused(), a.asMember)
      await time.advance(0)
      return failure
    }
    expect(await reasonOf()).toMatchObject({
      is: 'transient',
      reason: expect.stringMatching('ECONNREFUSED') as string,
    })
    expect(await reasonOf()).toEqual({is: 'transient', reason: 'the disk is full'})
    expect(policy.lastFailure).toBe('the disk is full')
    // Somebody else has brought it back.
    expect(await policy.call(signal, attempts().attempt)).toBe('answer')
    expect(await reasonOf()).toMatchObject({reason: expect.stringMatching('ECONNREFUSED') as string})
    fault = undefined
    await reasonOf()
    expect(await reasonOf()).toMatchObject({reason: expect.stringMatching('ECONNREFUSED') as string})
  })

  test('ends the call with what keeps it away', async () => {
    const fault = new Error('the disk is full')
    const {policy, time} = withRevival(() => Promise.reject(fault))
    const call = policy.call(signal, attempts(refused(), refused()).attempt)
    call.catch(() => {})
    await time.advance(1000)
    await expect(call).rejects.toBe(fault)
    expect(policy.lastFailure).toBe('the disk is full')
  })

  test('is waited for like an outage by who was answered before, unless that is no use', async () => {
    let fault = new LeashError('unavailable', 'the disk is full', 'make room')
    const {policy, time} = withRevival(() => Promise.reject(fault))
    await policy.call(signal, attempts().attempt)
    const {attempt, asked} = attempts(refused(), refused(), refused())
    const call = policy.call(signal, attempt)
    call.catch(() => {})
    await settled()
    expect(policy.lastFailure).toBe('the disk is full')
    expect(await time.passing(call)).toBe('answer')
    expect(asked).toHaveLength(4)
    fault = new LeashError('config', 'the store is damaged', 'look after it')
    const other = policy.call(signal, attempts(refused(), refused()).attempt)
    other.catch(() => {})
    await time.advance(1000)
    await expect(other).rejects.toBe(fault)
  })

  test('is not waited for by a call that is given up', async () => {
    const givenUp = new AbortController()
    const {policy, time} = withRevival(() => endless)
    const call = policy.call(givenUp.signal, attempts(refused()).attempt)
    call.catch(() => {})
    await time.advance(1000)
    givenUp.abort(new Error('given up'))
    await expect(call).rejects.toThrow('given up')
  })
})
