/** Single answers are lost, and watches break. */
import {compact, put, revoke, status} from '../support/etcdGateway.ts'
import {all, type Fault} from './Fault.ts'
import {ownStatus} from './round.ts'

/** The answer to the holder's (even rounds) or one of the waiter's requests is lost; by a reset, or in silence. */
const lostOnTheWayIn = (method: string, ofWaiter: number, name: string): Fault => ({
  name,
  members: 'one',
  holder: 'kept',
  variants: 4,
  prepare: ({index, cuts, holderLink, waiterLink}) => {
    const how = index % 4 < 2 ? 'reset' : 'silence'
    const nth = 1 + (Math.floor(index / 4) % ofWaiter)
    if (index % 2 === 0) cuts.push(holderLink.cutAfterCommit({method, how}))
    else cuts.push(waiterLink.cutAfterCommit({method, how, nth}))
  },
})

export const answerFaults: readonly Fault[] = [
  lostOnTheWayIn('Lease/LeaseGrant', 1, 'answer lost after the grant'),
  // The waiter's are: enqueue, look, put the mark, release; and in between the reads of its renewals.
  lostOnTheWayIn('KV/Txn', 4, 'answer lost after the transaction'),
  {
    name: 'answer lost after a renewal',
    members: 'one',
    holder: 'kept',
    variants: 2,
    strike: (_, rounds) =>
      all(rounds, ({index, holderLink, ttlMs}) => {
        const how = index % 2 === 0 ? 'reset' : 'silence'
        // The read: while a job runs, a holder that found nobody has no other transactions.
        return holderLink.cutAfterCommit({method: 'KV/Txn', how}).done(ttlMs)
      }),
  },
  {
    name: 'answer lost after the release',
    members: 'one',
    holder: 'kept',
    variants: 4,
    // It ends at once, so its next transaction is its release (or, rarely, the read of a renewal), and the revoke follows.
    strike: (_, rounds) =>
      all(rounds, ({index, cuts, holderLink}) => {
        const method = index % 2 === 0 ? 'KV/Txn' : 'Lease/LeaseRevoke'
        cuts.push(holderLink.cutAfterCommit({method, how: index % 4 < 2 ? 'reset' : 'silence'}))
      }),
  },
  {
    name: 'compaction while waiting',
    members: 'one',
    holder: 'kept',
    variants: 2,
    // The watches break, and what they would resume from is no longer there; in odd rounds the end of the holder, too.
    strike: async ({etcd}, rounds) => {
      await all(rounds, async ({index, holder, waiterLink}) => {
        await waiterLink.each((wire) => wire.reset())
        if (index % 2 === 0) return
        holder.tellToExit(ownStatus)
        await holder.exited()
      })
      // Only now: what the others leave behind may take its grace to end, and a lease of 3 s is lost within twice that.
      await all(rounds, async ({index, holderLink}) => {
        if (index % 2 === 0) await holderLink.each((wire) => wire.reset())
      })
      for (let round = 0; round < 10; round++) await put(etcd.url, 'elsewhere', String(round))
      const {revision} = await status(etcd.url)
      await compact(etcd.url, revision)
    },
    recover: (_, rounds) =>
      all(rounds, async ({holderLink, waiterLink}) => {
        for (const link of [holderLink, waiterLink]) await link.each((wire) => wire.heal())
      }),
  },
  {
    name: "waiter's lease died while it waited",
    members: 'one',
    holder: 'kept',
    variants: 2,
    // By time behind a black hole, or revoked in front of its eyes.
    strike: ({etcd, tickets}, rounds) =>
      all(rounds, async (round) => {
        const {waiterLink, waiterTicket, index} = round
        const again = round.nextTicket()
        if (index % 2 === 0) await waiterLink.each((wire) => wire.blackhole())
        else await revoke(etcd.url, waiterTicket.lease)
        await tickets.deleted(waiterTicket.key, round.ttlMs + 5000)
        await waiterLink.each((wire) => wire.heal())
        await again
      }),
  },
]
