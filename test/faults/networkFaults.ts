/** The network between leash and etcd fails. */
import {deleteKey} from '../support/etcdGateway.ts'
import {pause} from '../support/wait.ts'
import {aTtl, all, longestTtlMs, type Fault} from './Fault.ts'

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

export const networkFaults: readonly Fault[] = [
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
]
