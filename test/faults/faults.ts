/** The table of faults: what strikes, and what must become of the holder. Everything else is the same for all. */
import {compact, deleteKey, put, revoke, status} from '../support/etcdGateway.ts'
import {pause} from '../support/wait.ts'
import type {Round} from './round.ts'
import type {Stage} from './stage.ts'

export interface Fault {
  readonly name: string
  readonly members: 'one' | 'three'
  /**
   * `lost`: leash must end the job and say 79. `kept`: the job must not notice. `either`: a matter of how long an
   * election takes; but if leash ends the job, then in time and with 79.
   */
  readonly holder: 'lost' | 'kept' | 'either'
  /** Nothing can end the tree before the ticket goes: measured is how long after. */
  readonly againstCausality?: true
  /** etcd itself fails: it takes longer until nothing is left. */
  readonly strikesEtcd?: true
  /** By how many rounds all variants are seen. */
  readonly variants?: number
  /** Before anything is started. */
  readonly prepare?: (round: Round) => void
  /** Strikes all rounds on one stage at once. */
  readonly strike?: (stage: Stage, rounds: readonly Round[]) => Promise<unknown>
  /** Ends the fault, once the holders' trees are empty. */
  readonly recover?: (stage: Stage, rounds: readonly Round[]) => Promise<unknown>
}

const all = (rounds: readonly Round[], act: (round: Round) => unknown): Promise<unknown> =>
  Promise.all(rounds.map(act))

const longestTtlMs = (rounds: readonly Round[]): number => Math.max(...rounds.map(({ttlMs}) => ttlMs))

/** By now a lease that was not renewed since is lost and its tree dead. */
const aTtl = (rounds: readonly Round[]): Promise<void> => pause(longestTtlMs(rounds))

const blackHole = (direction: 'both' | 'toServer' | 'toClient', name: string): Fault => ({
  name,
  members: 'one',
  holder: 'lost',
  variants: 4,
  strike: (_, rounds) => all(rounds, ({holderLink}) => holderLink.each((wire) => wire.blackhole(direction))),
  // While leash may still try to release, or when the ticket has gone; what was held arrives late, or never.
  recover: ({tickets}, rounds) =>
    all(rounds, async ({holderLink, index, ticket, ttlMs}) => {
      if (index % 4 < 2) await tickets.deleted(ticket.key, ttlMs + 5000)
      await holderLink.each((wire) => wire.heal(index % 2 === 0 ? 'deliver' : 'reset'))
    }),
})

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

const clusterOf = ({cluster}: Stage) => {
  if (!cluster) throw new Error('this fault needs three members')
  return cluster
}

/** Freezes the leader for some part of the TTL. */
const freezeLeader = async (stage: Stage, ms: number): Promise<void> => {
  const leader = await clusterOf(stage).leader()
  await leader.freeze()
  await pause(ms)
  leader.thaw()
}

/** The network to some of three members is gone, for the holder and the waiter; the others have the quorum. */
const membersOutOfReach = (count: number, name: string): Fault => ({
  name,
  members: 'three',
  holder: 'kept',
  strike: async (_, rounds) => {
    await all(rounds, async ({holderLink, waiterLink}) => {
      for (const link of [holderLink, waiterLink]) await link.each((wire) => wire.blackhole(), count)
    })
    await aTtl(rounds)
  },
})

export const faults: readonly Fault[] = [
  blackHole('both', 'network black-holed both ways'),
  blackHole('toServer', 'network black-holed to etcd'),
  blackHole('toClient', 'network black-holed from etcd'),
  {
    name: 'network black-holed for a quarter of the TTL',
    members: 'one',
    holder: 'kept',
    variants: 2,
    // Both hear nothing for a renewal interval, and after it what was held, or a reset.
    strike: (_, rounds) =>
      all(rounds, async ({holderLink, waiterLink, ttlMs, index}) => {
        for (const link of [holderLink, waiterLink]) await link.each((wire) => wire.blackhole())
        await pause(ttlMs / 4)
        const held = index % 2 === 0 ? 'deliver' : 'reset'
        for (const link of [holderLink, waiterLink]) await link.each((wire) => wire.heal(held))
      }),
  },
  {
    name: 'network refuses connections',
    members: 'one',
    holder: 'lost',
    strike: (_, rounds) => all(rounds, ({holderLink}) => holderLink.each((wire) => wire.reset())),
    recover: (_, rounds) => all(rounds, ({holderLink}) => holderLink.each((wire) => wire.heal())),
  },
  {
    name: 'connections silently dead, new ones work',
    members: 'one',
    holder: 'kept',
    strike: async (_, rounds) => {
      await all(rounds, async ({holderLink, waiterLink}) => {
        for (const link of [holderLink, waiterLink]) await link.each((wire) => wire.abandonConnections())
      })
      await aTtl(rounds)
    },
  },
  membersOutOfReach(1, 'one of three members black-holed'),
  membersOutOfReach(2, 'two of three members black-holed'),
  {
    name: 'ticket deleted, and a member black-holed',
    members: 'three',
    holder: 'lost',
    againstCausality: true,
    strike: async ({members}, rounds) => {
      await all(rounds, ({holderLink}) => holderLink.each((wire) => wire.blackhole(), 1))
      // All renewals go elsewhere by now; the deletion is not in step with them.
      await pause(longestTtlMs(rounds) * (1 + Math.random() / 4))
      await all(rounds, (round) => deleteKey(members[1]?.url ?? '', round.strikeTicket().key))
    },
  },
  {
    name: 'etcd killed',
    members: 'one',
    holder: 'lost',
    strikesEtcd: true,
    strike: ({etcd}) => etcd.kill(),
    recover: ({etcd}) => etcd.restart(),
  },
  {
    name: 'etcd killed, and back at once',
    members: 'one',
    holder: 'either',
    strikesEtcd: true,
    strike: async ({etcd}, rounds) => {
      await etcd.kill()
      await etcd.restart()
      await aTtl(rounds)
    },
  },
  {
    name: 'etcd frozen, thawed after the TTL',
    members: 'one',
    holder: 'lost',
    strikesEtcd: true,
    strike: async ({etcd}, rounds) => {
      await etcd.freeze()
      await aTtl(rounds)
    },
    recover: ({etcd}) => Promise.resolve(etcd.thaw()),
  },
  {
    name: 'leader killed',
    members: 'three',
    holder: 'either',
    strikesEtcd: true,
    strike: async (stage, rounds) => {
      const leader = await clusterOf(stage).leader()
      await leader.kill()
      await aTtl(rounds)
    },
  },
  {
    name: 'leader frozen for less than the TTL',
    members: 'three',
    holder: 'either',
    strikesEtcd: true,
    strike: async (stage, rounds) => {
      await freezeLeader(stage, longestTtlMs(rounds) * (0.3 + 0.6 * Math.random()))
      await aTtl(rounds)
    },
  },
  {
    name: 'leader frozen for more than the TTL',
    members: 'three',
    holder: 'either',
    againstCausality: true,
    strikesEtcd: true,
    strike: async (stage, rounds) => {
      await freezeLeader(stage, longestTtlMs(rounds) + 500 + 1000 * Math.random())
      await aTtl(rounds)
    },
  },
  {
    name: 'lease revoked from outside',
    members: 'one',
    holder: 'lost',
    againstCausality: true,
    strike: ({etcd}, rounds) => all(rounds, (round) => revoke(etcd.url, round.strikeTicket().lease)),
  },
  {
    name: 'ticket deleted from outside',
    members: 'one',
    holder: 'lost',
    againstCausality: true,
    strike: ({etcd}, rounds) => all(rounds, (round) => deleteKey(etcd.url, round.strikeTicket().key)),
  },
  {
    name: 'ticket deleted, and the holder hears late',
    members: 'one',
    holder: 'lost',
    againstCausality: true,
    // Without the settling time the waiter would be the quicker one, each time.
    strike: async ({etcd}, rounds) => {
      await all(rounds, ({holderLink}) => holderLink.each((wire) => wire.delay(150)))
      await all(rounds, (round) => deleteKey(etcd.url, round.strikeTicket().key))
    },
  },
  lostOnTheWayIn('Lease/LeaseGrant', 1, 'answer lost after the grant'),
  // The waiter's are: enqueue, look, put the mark, release.
  lostOnTheWayIn('KV/Txn', 4, 'answer lost after the transaction'),
  {
    name: 'answer lost after a renewal',
    members: 'one',
    holder: 'kept',
    variants: 2,
    strike: (_, rounds) =>
      all(rounds, ({index, holderLink, ttlMs}) => {
        const how = index % 2 === 0 ? 'reset' : 'silence'
        return holderLink.cutAfterCommit({method: 'KV/Range', how}).done(ttlMs)
      }),
  },
  {
    name: 'answer lost after the release',
    members: 'one',
    holder: 'kept',
    variants: 4,
    // From now on the holder's only transaction is its release, and the revoke follows.
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
      await all(rounds, async ({index, holder, holderLink, waiterLink}) => {
        await waiterLink.each((wire) => wire.reset())
        if (index % 2 === 0) return holderLink.each((wire) => wire.reset())
        holder.tellToExit(ownStatus)
        await holder.exited()
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

/** What the holder's job ends with when it is told to end by itself: no status of leash's own. */
export const ownStatus = 5
