import {describe, expect, test} from 'vitest'
import type {RenewalEvidence} from '../../src/lib/core/ports.ts'
import type {Ticket} from '../../src/lib/core/ticket.ts'
import type {Stage} from './storeContract.ts'

const timing = {attemptMs: 5000, hedgeAfterMs: 1000}

/** What a store promises about renewals and watches. */
export function renewalContract(stage: () => Stage): void {
  describe('renew', () => {
    const renew = ({store, signal}: Stage, ticket: Ticket): Promise<RenewalEvidence> =>
      store.renew([ticket], timing, signal)

    test('brings the TTL, two equal terms and the create revision while all is well', async () => {
      const here = stage()
      const ticket = await here.ticket()
      const beforeMs = here.harness.clock.elapsedMs()
      const renewing = renew(here, ticket)
      const sentByMs = here.harness.clock.elapsedMs()
      const evidence = await renewing
      expect(evidence.ttlMs).toBe(60_000)
      expect(evidence.createRevisions).toEqual([ticket.createRevision])
      expect(evidence.keepAliveTerm).toBeGreaterThan(0n)
      expect(evidence.readTerm).toBe(evidence.keepAliveTerm)
      expect(evidence.sentAtMs).toBeGreaterThanOrEqual(beforeMs)
      expect(evidence.sentAtMs).toBeLessThanOrEqual(sentByMs)
    })

    test('brings a TTL of 0 and no ticket when the lease is gone', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await here.store.revoke(ticket.lease, here.signal)
      const evidence = await renew(here, ticket)
      expect(evidence.ttlMs).toBe(0)
      expect(evidence.createRevisions).toEqual([undefined])
    })

    test('brings the TTL, but no ticket, when that was deleted', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await here.harness.remove(ticket.key)
      const evidence = await renew(here, ticket)
      expect(evidence.ttlMs).toBe(60_000)
      expect(evidence.createRevisions).toEqual([undefined])
    })

    test('brings another create revision when the ticket was deleted and put anew', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await here.harness.remove(ticket.key)
      await here.harness.put(ticket.key, '', ticket.lease)
      expect((await renew(here, ticket)).createRevisions[0]).toBeGreaterThan(ticket.createRevision)
    })
  })

  describe('deletion', () => {
    test('resolves when the key is deleted later', async () => {
      const here = stage()
      const ticket = await here.ticket()
      const deletion = here.store.deletion(ticket.key, ticket.createRevision, here.signal)
      await here.harness.remove(ticket.key)
      expect(await deletion).toBe('deleted')
    })

    test('resolves when the lease of the key ends', async () => {
      const here = stage()
      const ticket = await here.ticket()
      const deletion = here.store.deletion(ticket.key, ticket.createRevision, here.signal)
      await here.store.revoke(ticket.lease, here.signal)
      expect(await deletion).toBe('deleted')
    })

    test('resolves when the key was deleted before the watch was opened', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await here.harness.remove(ticket.key)
      await here.ticket()
      expect(await here.store.deletion(ticket.key, ticket.createRevision, here.signal)).toBe('deleted')
    })

    test('does not count deletions up to the revision given, nor other changes of the key, nor other keys', async () => {
      const here = stage()
      const key = `${here.keys.queuePrefix}again`
      await here.harness.put(key, 'first')
      await here.harness.remove(key)
      await here.harness.put(key, 'second')
      const {revision} = await here.look(await here.ticket())
      const later = here.store.deletion(key, revision, here.signal)
      await here.harness.put(key, 'changed')
      await here.harness.put(`${key}/below`, '')
      await here.harness.remove(`${key}/below`)
      let pending = true
      void later.then(() => (pending = false))
      // A watch opened later sees its event; so would the first one, had it counted any of the above.
      const other = await here.ticket()
      await here.harness.remove(other.key)
      await here.store.deletion(other.key, other.createRevision, here.signal)
      expect(pending).toBe(true)
      await here.harness.remove(key)
      expect(await later).toBe('deleted')
    })

    test('says `unknown` when a compaction may have swallowed the event', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await here.harness.remove(ticket.key)
      await here.ticket()
      await here.ticket()
      await here.harness.compact()
      expect(await here.store.deletion(ticket.key, ticket.createRevision, here.signal)).toBe('unknown')
    })

    test('goes on over a compaction that swallows nothing of it', async () => {
      const here = stage()
      const ticket = await here.ticket()
      const {revision} = await here.look(ticket)
      const deletion = here.store.deletion(ticket.key, revision, here.signal)
      await here.harness.compact()
      await here.harness.remove(ticket.key)
      expect(await deletion).toBe('deleted')
    })

    test('rejects with the reason of the signal', async () => {
      const here = stage()
      const ticket = await here.ticket()
      const control = new AbortController()
      const deletion = here.store.deletion(ticket.key, ticket.createRevision, control.signal)
      const reason = {why: 'no longer of interest'}
      control.abort(reason)
      await expect(deletion).rejects.toBe(reason)
    })
  })

  test('every request rejects with the reason of a signal that is aborted already, and does nothing', async () => {
    const here = stage()
    const {store, keys} = here
    const ticket = await here.ticket()
    const reason = new Error('too late')
    const signal = AbortSignal.abort(reason)
    const lease = await here.lease()
    const requests = [
      store.grant(lease, 60, signal),
      store.enqueue({queues: [keys], lease, value: '', onlyIfNobody: false}, signal),
      store.look(ticket, keys, signal),
      store.peek(ticket, keys.queuePrefix, signal),
      store.renew([ticket], timing, signal),
      store.declareHold([{ticket, markKey: keys.markKey}], '', signal),
      store.dequeue([{ticket, markKey: keys.markKey}], signal),
      store.revoke(ticket.lease, signal),
      store.deletion(ticket.key, ticket.createRevision, signal),
    ]
    for (const {status, ...end} of await Promise.allSettled(requests)) {
      expect({status, ...end}).toEqual({status: 'rejected', reason})
    }
    expect(await here.queue()).toHaveLength(1)
    expect(await here.hasLease(ticket.lease)).toBe(true)
  })
}
