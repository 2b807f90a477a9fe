import {describe, expect, test} from 'vitest'
import {electionKeys} from '../../src/lib/core/lockName.ts'
import type {Ticket} from '../../src/lib/core/ticket.ts'
import type {Stage} from './storeContract.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const metaKey = ({key}: Ticket): string => `contract/meta/${key.slice(key.lastIndexOf('/') + 1)}`

async function candidate(here: Stage, proposal: string): Promise<Ticket> {
  const keys = electionKeys('contract/', here.keys.name)
  const lease = await here.lease()
  const beside = {key: `${keys.metaPrefix}${lease.toString(16)}`, value: 'who'}
  const request = {queues: [keys] as const, lease, value: bytes(proposal), beside, onlyIfNobody: false}
  const [view] = await here.store.enqueue(request, here.signal)
  if (view?.own === undefined) throw new Error('a ticket was put and is not there')
  return view.own
}

const valueOf = async (here: Stage, {key}: Ticket): Promise<string | undefined> =>
  (await here.harness.keysUnder(key))[0]?.value

/** What a store promises to the candidates of an election. */
export function electionContract(stage: () => Stage): void {
  describe('a candidate', () => {
    test('has its proposal in its ticket, and beside it who it is, on the same lease; leading or not', async () => {
      const here = stage()
      const [leader, next] = [await candidate(here, 'one'), await candidate(here, 'two')]
      expect([await valueOf(here, leader), await valueOf(here, next)]).toEqual(['one', 'two'])
      for (const ticket of [leader, next]) {
        expect(await here.harness.keysUnder(metaKey(ticket))).toMatchObject([{value: 'who'}])
        await here.store.revoke(ticket.lease, here.signal)
        expect(await here.harness.keysUnder(metaKey(ticket))).toEqual([])
      }
    })

    test('that declares its hold keeps its proposal', async () => {
      const here = stage()
      const ticket = await candidate(here, 'one')
      const {markKey = ''} = electionKeys('contract/', here.keys.name)
      expect(await here.store.declareHold([{ticket, markKey}], undefined, here.signal)).toBe(true)
      expect(await valueOf(here, ticket)).toBe('one')
    })
  })

  describe('proclaim', () => {
    test('changes the value, and not the ticket', async () => {
      const here = stage()
      const ticket = await candidate(here, 'one')
      expect(await here.store.proclaim(ticket, bytes('two'), here.signal)).toBe(true)
      const [seen] = await here.harness.keysUnder(ticket.key)
      expect(seen).toMatchObject({value: 'two', createRevision: ticket.createRevision})
      await here.store.revoke(ticket.lease, here.signal)
      expect(await here.harness.keysUnder(ticket.key)).toEqual([])
    })

    test('says so, and puts nothing, when the ticket is gone or not the same', async () => {
      const here = stage()
      const ticket = await candidate(here, 'one')
      await here.harness.remove(ticket.key)
      expect(await here.store.proclaim(ticket, bytes('two'), here.signal)).toBe(false)
      await here.harness.put(ticket.key, 'another', ticket.lease)
      expect(await here.store.proclaim(ticket, bytes('two'), here.signal)).toBe(false)
      expect(await valueOf(here, ticket)).toBe('another')
    })

    test('says true after a lost answer', async () => {
      const here = stage()
      const ticket = await candidate(here, 'one')
      here.harness.loseAnswer('proclaim')
      expect(await here.harness.passing(here.store.proclaim(ticket, bytes('two'), here.signal))).toBe(true)
      expect(await valueOf(here, ticket)).toBe('two')
    })
  })
}
