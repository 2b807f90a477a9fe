/** etcd itself fails, or somebody takes away what leash has in it. */
import {deleteKey, revoke} from '../support/etcdGateway.ts'
import {pause} from '../support/wait.ts'
import {aTtl, all, longestTtlMs, type Fault} from './Fault.ts'
import type {Stage} from './stage.ts'

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

export const etcdFaults: readonly Fault[] = [
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
    // A TTL may have passed since the last renewal that it knows of.
    againstCausality: true,
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
    variants: 2,
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
]
