import {describe, expect, test} from 'vitest'
import {type LeaseId, leaseIdFrom} from '../../src/lib/core/identifiers.ts'
import type {Enqueue, RenewalEvidence} from '../../src/lib/core/ports.ts'
import {judge} from '../../src/lib/core/session.ts'
import type {Ticket} from '../../src/lib/core/ticket.ts'
import {EtcdStore} from '../../src/lib/etcd/etcdStore.ts'
import {systemClock} from '../../src/lib/systemClock.ts'
import {EtcdCluster} from '../support/EtcdCluster.ts'
import type {EtcdServer} from '../support/EtcdServer.ts'
import {deleteKey} from '../support/etcdGateway.ts'
import {until, within} from '../support/wait.ts'

const {signal} = new AbortController()
const queuePrefix = 'members/'

/** A store that asks this member first, with a ticket. */
async function storeAt(cluster: EtcdCluster, first: EtcdServer): Promise<{store: EtcdStore; ticket: Ticket}> {
  const others = cluster.members.filter((member) => member !== first).map(({url}) => url)
  const store = new EtcdStore([first.url, ...others], systemClock())
  const lease: LeaseId = leaseIdFrom(crypto.getRandomValues(new Uint8Array(8)))
  await store.grant(lease, 60, signal)
  const request: Enqueue = {queues: [{queuePrefix}], lease, value: '', onlyIfNobody: false}
  const own = (await store.enqueue(request, signal))[0]?.own
  if (own === undefined) throw new Error('no ticket')
  return {store, ticket: own}
}

const timing = {attemptMs: 1500, hedgeAfterMs: 200}

/** Renews as a session does, attempt by attempt, until one is confirmed. */
const confirmed = (store: EtcdStore, ticket: Ticket): Promise<RenewalEvidence> =>
  until(
    'a confirmed renewal',
    async () => {
      const evidence = await store.renew([ticket], timing, signal).catch(() => undefined)
      return evidence !== undefined && judge(evidence, [ticket]).is === 'confirmed' && evidence
    },
    {withinMs: 30_000, everyMs: 20},
  )

describe.each(['3.4', '3.5'] as const)('three members of etcd %s', (version) => {
  test('a renewal goes round a follower that stands still, within one attempt', async () => {
    await using cluster = await EtcdCluster.start({version})
    const [follower] = await cluster.followers()
    if (follower === undefined) throw new Error('no follower')
    const {store, ticket} = await storeAt(cluster, follower)
    await follower.freeze()
    const evidence = await store.renew([ticket], {attemptMs: 5000, hedgeAfterMs: 200}, signal)
    expect(judge(evidence, [ticket])).toEqual({is: 'confirmed'})
    follower.thaw()
    store.close()
  })

  test('a watch on a member that stands still moves on with the renewal that went round it', async () => {
    await using cluster = await EtcdCluster.start({version})
    const [follower, other] = await cluster.followers()
    if (follower === undefined || other === undefined) throw new Error('no followers')
    const {store, ticket} = await storeAt(cluster, follower)
    const watching = new AbortController()
    const watch = store.deletion(ticket.key, ticket.createRevision, watching.signal)
    // A request behind the watch on the same connection: it stands when this is answered.
    await store.look(ticket, {queuePrefix}, signal)
    await follower.freeze()
    await store.renew([ticket], {attemptMs: 5000, hedgeAfterMs: 200}, signal)
    await deleteKey(other.url, ticket.key)
    expect(await within('the watch to hear of it', watch, {withinMs: 5000})).toBe('deleted')
    follower.thaw()
    store.close()
  })

  test('a renewal is confirmed in the new term after the leader was killed', async () => {
    await using cluster = await EtcdCluster.start({version})
    const leader = await cluster.leader()
    const {store, ticket} = await storeAt(cluster, leader)
    const before = await confirmed(store, ticket)
    await leader.kill()
    const after = await confirmed(store, ticket)
    expect(after.readTerm).toBeGreaterThan(before.readTerm)
    expect(after.createRevisions).toEqual([ticket.createRevision])
    store.close()
  })

  test('a leader that was frozen and deposed confirms nothing in its old term', async () => {
    await using cluster = await EtcdCluster.start({version})
    const leader = await cluster.leader()
    const alone = new EtcdStore([leader.url], systemClock())
    const {store, ticket} = await storeAt(cluster, leader)
    const before = await confirmed(alone, ticket)
    await leader.freeze()
    await cluster.leader(leader)
    const attempt = alone.renew([ticket], {attemptMs: 10_000, hedgeAfterMs: 200}, signal)
    leader.thaw()
    const verdict = await attempt.then(
      (evidence) => ({evidence, judged: judge(evidence, [ticket])}),
      () => undefined,
    )
    if (verdict?.judged.is === 'confirmed') {
      expect(verdict.evidence.keepAliveTerm).toBeGreaterThan(before.readTerm)
    }
    expect((await confirmed(alone, ticket)).readTerm).toBeGreaterThan(before.readTerm)
    alone.close()
    store.close()
  })

  test('a watch goes on at another member when its own is killed', async () => {
    await using cluster = await EtcdCluster.start({version})
    const [follower, other] = await cluster.followers()
    if (follower === undefined || other === undefined) throw new Error('no followers')
    const {store, ticket} = await storeAt(cluster, follower)
    const deletion = store.deletion(ticket.key, ticket.createRevision, signal)
    await follower.kill()
    await deleteKey(other.url, ticket.key)
    expect(await deletion).toBe('deleted')
    store.close()
  })

  test('a request goes to another member when the first stands still', async () => {
    await using cluster = await EtcdCluster.start({version})
    const [follower] = await cluster.followers()
    if (follower === undefined) throw new Error('no follower')
    const {store, ticket} = await storeAt(cluster, follower)
    await follower.freeze()
    expect((await store.look(ticket, {queuePrefix}, signal)).own).toEqual(ticket)
    follower.thaw()
    store.close()
  })
})
