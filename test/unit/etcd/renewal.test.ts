import {status} from '@grpc/grpc-js'
import {describe, expect, test} from 'vitest'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'
import {RenewalFailed, type RenewalEvidence} from '../../../src/lib/core/ports.ts'
import {hedgedRenewal} from '../../../src/lib/etcd/renewal.ts'
import {type Watched, watch} from '../core/world.fixture.ts'
import {type Cluster, type FakeMember, clusterOf, endless, grpcError, refused} from './fakeMembers.ts'

const ticket = {key: 'q/a', lease: 10n as LeaseId, createRevision: 40n}
const timing = {attemptMs: 4000, hedgeAfterMs: 1000}

/** Has a member answer keep-alive and read, each after so long. */
function healthy(
  member: FakeMember,
  {clock}: Cluster,
  {aliveAfterMs = 0, readAfterMs = 0, term = '5'} = {},
): void {
  const pass = (ms: number): Promise<void> => clock.sleepUntil(clock.elapsedMs() + ms)
  member.onStream = async (request, onAnswer) => {
    expect(request).toEqual({ID: '10'})
    await pass(aliveAfterMs)
    onAnswer({ID: '10', TTL: '30', header: {raft_term: term}})
  }
  member.onUnary = async () => {
    await pass(readAfterMs)
    const kvs = [{key: Buffer.from('q/a'), create_revision: '40', value: Buffer.of()}]
    return {responses: [{response_range: {kvs}}], header: {raft_term: '5'}}
  }
}

function renew(cluster: Cluster, signal = new AbortController().signal): Watched<RenewalEvidence> {
  return watch(hedgedRenewal([ticket], timing, cluster, signal))
}

test('asks the preferred member only, while that answers', async () => {
  const cluster = clusterOf(3)
  healthy(cluster.a, cluster, {aliveAfterMs: 500, readAfterMs: 499})
  cluster.b.onStream = () => Promise.reject(new Error('was asked'))
  const renewing = renew(cluster)
  await cluster.time.advance(999)
  expect(renewing.value).toEqual({
    sentAtMs: 0,
    ttlMs: 30_000,
    keepAliveTerm: 5n,
    readTerm: 5n,
    createRevisions: [40n],
  })
  await cluster.time.advance(10_000)
  expect(cluster.policy.lastFailure).toBeUndefined()
  expect(cluster.time.timerCount).toBe(0)
})

test('asks a second member when the first is slow, and counts from when that was asked', async () => {
  const cluster = clusterOf(3)
  healthy(cluster.b, cluster, {aliveAfterMs: 10})
  const renewing = renew(cluster)
  await cluster.time.advance(1009)
  expect(renewing.pending).toBe(true)
  await cluster.time.advance(1)
  expect(renewing.value?.sentAtMs).toBe(1000)
  expect(cluster.policy.members[0]?.endpoint).toBe('b')
})

test('asks a second member at once when the first has failed', async () => {
  const cluster = clusterOf(2)
  cluster.a.onStream = () => Promise.reject(refused())
  healthy(cluster.b, cluster)
  const renewing = renew(cluster)
  await cluster.time.advance(0)
  expect(renewing.value?.sentAtMs).toBe(0)
  expect(cluster.policy.lastFailure).toBe('a: connect ECONNREFUSED')
})

test('takes the first evidence, also if it is that of the slow one, and gives up the other attempt', async () => {
  const cluster = clusterOf(2)
  healthy(cluster.a, cluster, {aliveAfterMs: 1500})
  let wasGivenUp = false
  cluster.b.onStream = (_request, _onAnswer, signal) => {
    signal.addEventListener('abort', () => (wasGivenUp = true))
    return endless
  }
  const renewing = renew(cluster)
  await cluster.time.advance(1500)
  expect(renewing.value?.sentAtMs).toBe(0)
  expect(wasGivenUp).toBe(true)
  expect(cluster.b.resets).toBe(0)
})

test('needs the read too: a keep-alive alone is no evidence', async () => {
  const cluster = clusterOf(2)
  healthy(cluster.a, cluster)
  cluster.a.onUnary = () => endless
  healthy(cluster.b, cluster)
  const renewing = renew(cluster)
  await cluster.time.advance(999)
  expect(renewing.pending).toBe(true)
  await cluster.time.advance(1)
  expect(renewing.value?.sentAtMs).toBe(1000)
})

test('brings both terms as they were answered', async () => {
  const cluster = clusterOf(1)
  healthy(cluster.a, cluster, {term: '4'})
  const renewing = renew(cluster)
  await cluster.time.advance(0)
  expect(renewing.value).toMatchObject({keepAliveTerm: 4n, readTerm: 5n})
})

describe('no evidence in time', () => {
  test.each([1, 3] as const)(
    'from %i members fails when the attempt is over, with the reason',
    async (size) => {
      const cluster = clusterOf(size)
      const renewing = renew(cluster)
      await cluster.time.advance(3999)
      expect(renewing.pending).toBe(true)
      await cluster.time.advance(1)
      expect(renewing.error).toBeInstanceOf(RenewalFailed)
      expect(renewing.error).toHaveProperty('message', expect.stringContaining('no answer in time'))
      expect(cluster.a.resets).toBe(1)
      expect(cluster.time.timerCount).toBe(0)
    },
  )

  test('fails at once when both refuse, and another member is asked next', async () => {
    const cluster = clusterOf(3)
    for (const member of [cluster.a, cluster.b]) member.onStream = () => Promise.reject(refused())
    const renewing = renew(cluster)
    await cluster.time.advance(0)
    expect(renewing.error).toBeInstanceOf(RenewalFailed)
    expect(cluster.policy.members[0]?.endpoint).toBe('c')
  })

  test('says what etcd refused, not what failed before', async () => {
    const cluster = clusterOf(1)
    cluster.policy.noteFailure(refused(), cluster.a.asMember)
    cluster.a.onStream = () =>
      Promise.reject(grpcError(status.PERMISSION_DENIED, 'etcdserver: permission denied'))
    const renewing = renew(cluster)
    await cluster.time.advance(0)
    expect(renewing.error).toHaveProperty('message', expect.stringContaining('permission denied'))
  })
})

test('rejects with the reason of the signal, and leaves nothing under way', async () => {
  const cluster = clusterOf(2)
  const control = new AbortController()
  const renewing = renew(cluster, control.signal)
  await cluster.time.advance(1500)
  control.abort('told to')
  await cluster.time.advance(0)
  expect(renewing.error).toBe('told to')
  expect(cluster.time.timerCount).toBe(0)
  expect(cluster.policy.lastFailure).toBeUndefined()
})
