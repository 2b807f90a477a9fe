import {describe, expect, test} from 'vitest'
import {leaseHex} from '../../src/lib/core/identifiers.ts'
import {LeaseGone} from '../../src/lib/core/ports.ts'
import {type Ticket, markValue} from '../../src/lib/core/ticket.ts'
import type {Stage} from './storeContract.ts'

const declare = ({store, keys, signal}: Stage, ticket: Ticket): Promise<boolean> =>
  store.declareHold([{ticket, markKey: keys.markKey}], 'holding', signal)

/** What a store promises about marks, and about ending a hold. */
export function endContract(stage: () => Stage): void {
  describe('declareHold', () => {
    test('puts the mark while the ticket is there', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await here.harness.remove(here.keys.markKey)
      expect(await declare(here, ticket)).toBe(true)
      expect(await here.mark()).toMatchObject({value: markValue(ticket.lease)})
    })

    test('puts the new value into the ticket, which stays the same ticket', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await declare(here, ticket)
      const {key, createRevision} = ticket
      expect(await here.queue()).toEqual([{key, value: 'holding', createRevision}])
      await here.store.revoke(ticket.lease, here.signal)
      expect(await here.queue()).toEqual([])
    })

    test('survives the lease: the mark of a vanished holder stays', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await declare(here, ticket)
      await here.store.revoke(ticket.lease, here.signal)
      expect(await here.mark()).toBeDefined()
    })

    test('puts nothing, and says so, when the ticket is gone or not the same', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await here.harness.remove(here.keys.markKey)
      await here.harness.remove(ticket.key)
      expect(await declare(here, ticket)).toBe(false)
      await here.harness.put(ticket.key, '', ticket.lease)
      expect(await declare(here, ticket)).toBe(false)
      expect(await here.mark()).toBeUndefined()
    })

    test('says true after a lost answer', async () => {
      const here = stage()
      const ticket = await here.ticket()
      here.harness.loseAnswer('declareHold')
      const marked = declare(here, ticket)
      expect(await here.harness.passing(marked)).toBe(true)
    })
  })

  describe('dequeue', () => {
    test('removes ticket and mark at one revision, and leaves the lease', async () => {
      const here = stage()
      const ticket = await here.ticket()
      const {revision} = await here.look(ticket)
      expect(await here.store.dequeue([{ticket, markKey: here.keys.markKey}], here.signal)).toBe('removed')
      expect(await here.queue()).toEqual([])
      expect(await here.mark()).toBeUndefined()
      expect((await here.look(ticket)).revision).toBe(revision + 1n)
      expect(await here.hasLease(ticket.lease)).toBe(true)
    })

    test('without a mark key removes the ticket only', async () => {
      const here = stage()
      const ticket = await here.ticket()
      expect(await here.store.dequeue([{ticket}], here.signal)).toBe('removed')
      expect(await here.store.dequeue([{ticket}], here.signal)).toBe('gone')
      expect(await here.mark()).toBeDefined()
    })

    test('leaves the other tickets', async () => {
      const here = stage()
      const [ticket, next] = [await here.ticket(), await here.ticket()]
      await here.store.dequeue([{ticket, markKey: here.keys.markKey}], here.signal)
      expect(await here.queue()).toMatchObject([{key: next.key}])
    })

    test('finds the ticket gone: removes its own mark', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await here.harness.remove(ticket.key)
      expect(await here.store.dequeue([{ticket, markKey: here.keys.markKey}], here.signal)).toBe('gone')
      expect(await here.mark()).toBeUndefined()
    })

    test('finds the ticket gone: leaves the mark of another one', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await here.harness.remove(ticket.key)
      const other = await here.ticket()
      expect(await here.store.dequeue([{ticket, markKey: here.keys.markKey}], here.signal)).toBe('gone')
      expect(await here.mark()).toMatchObject({value: markValue(other.lease)})
      expect(await here.queue()).toHaveLength(1)
    })

    test('does not take a ticket that was deleted and put anew for its own', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await here.harness.remove(ticket.key)
      await here.harness.put(ticket.key, '', ticket.lease)
      expect(await here.store.dequeue([{ticket, markKey: here.keys.markKey}], here.signal)).toBe('gone')
      expect(await here.queue()).toHaveLength(1)
    })

    test('says `unknown` after a lost answer, and the ticket is gone', async () => {
      const here = stage()
      const ticket = await here.ticket()
      here.harness.loseAnswer('dequeue')
      const end = here.store.dequeue([{ticket, markKey: here.keys.markKey}], here.signal)
      expect(await here.harness.passing(end)).toBe('unknown')
      expect(await here.queue()).toEqual([])
      expect(await here.mark()).toBeUndefined()
    })
  })

  describe('unmark', () => {
    test('removes the mark that the ticket of this lease made', async () => {
      const here = stage()
      const {lease} = await here.ticket()
      await here.store.revoke(lease, here.signal)
      await here.store.unmark(lease, [here.keys.markKey], here.signal)
      expect(await here.mark()).toBeUndefined()
    })

    test('leaves the mark of a vanished holder that this ticket found and rewrote', async () => {
      const here = stage()
      await here.store.revoke((await here.ticket()).lease, here.signal)
      const {lease} = await here.ticket()
      await here.store.revoke(lease, here.signal)
      await here.store.unmark(lease, [here.keys.markKey], here.signal)
      expect(await here.mark()).toMatchObject({value: markValue(lease)})
    })

    test('leaves the mark of another one, and does nothing where there is none', async () => {
      const here = stage()
      const other = await here.ticket()
      const lease = await here.lease()
      await here.store.unmark(lease, [here.keys.markKey], here.signal)
      expect(await here.mark()).toMatchObject({value: markValue(other.lease)})
      await here.store.dequeue([{ticket: other, markKey: here.keys.markKey}], here.signal)
      await here.store.unmark(other.lease, [here.keys.markKey], here.signal)
      expect(await here.mark()).toBeUndefined()
    })
  })

  describe('revoke', () => {
    test('ends the lease and its ticket, but not the mark', async () => {
      const here = stage()
      const ticket = await here.ticket()
      await here.store.revoke(ticket.lease, here.signal)
      expect(await here.hasLease(ticket.lease)).toBe(false)
      expect(await here.queue()).toEqual([])
      expect(await here.mark()).toBeDefined()
    })

    test('repeated, does no harm, also after a lost answer', async () => {
      const here = stage()
      const {lease} = await here.ticket()
      here.harness.loseAnswer('revoke')
      await here.harness.passing(here.store.revoke(lease, here.signal))
      await here.store.revoke(lease, here.signal)
      expect(await here.hasLease(lease)).toBe(false)
    })

    test('makes a ticket fail that is still under way', async () => {
      const here = stage()
      const lease = await here.lease()
      await here.store.revoke(lease, here.signal)
      await expect(here.enqueue(lease)).rejects.toBeInstanceOf(LeaseGone)
      expect((await here.queue()).map(({key}) => key)).not.toContain(here.keys.queuePrefix + leaseHex(lease))
    })
  })
}
