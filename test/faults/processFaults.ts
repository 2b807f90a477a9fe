/** leash itself, or its guard, is killed, frozen or blocked. */
import path from 'node:path'
import type {FixtureMode} from '../support/oracle.ts'
import {nowMs, pause} from '../support/wait.ts'
import {aTtl, all, type Fault} from './Fault.ts'
import type {Round} from './round.ts'

/** When KILL is due by the last renewal that etcd answered: 1 % of the TTL and the kill margin before its end. */
export const killDueAtMs = ({stage, ticket, ttlMs}: Round): number => {
  const expiresMs = stage.ledger.expiresNotBeforeMs(ticket.lease) ?? nowMs()
  return expiresMs - 0.01 * ttlMs - Math.max(250, 0.025 * ttlMs)
}

export const untilMs = (momentMs: number): Promise<void> => pause(Math.max(0, momentMs - nowMs()))

const killed = (name: string, more: Partial<Fault> = {}): Fault => ({
  name,
  members: 'one',
  holder: 'killed',
  ticketGoes: 'at once',
  variants: 2,
  strike: (_, rounds) => all(rounds, (round) => round.killHolder()),
  ...more,
})

/** Processes that have ended, or do not exist yet, when one comes to look at them; in one session, or each in its own. */
const chains = (index: number): FixtureMode[] => (index % 4 < 2 ? ['fork-loop'] : ['setsid', 'fork-loop'])

export const blackHole = ({holderLink}: Round): Promise<void> => holderLink.each((wire) => wire.blackhole())

/** From now on SIGWINCH blocks each leash that the holder starts. */
export const blockLoop = (round: Round): void => {
  const require = `--require=${path.join(import.meta.dirname, 'blockLoop.cjs')}`
  round.holderOptions = {env: {NODE_OPTIONS: require, BLOCK_LOOP_MS: String(round.ttlMs + 1000)}}
}

export const processFaults: readonly Fault[] = [
  killed('leash killed'),
  killed('leash killed, TTL 60 s', {ttlMs: 60_000}),
  killed('leash killed with its process group', {
    strike: (_, rounds) => all(rounds, (round) => round.killHolder('group')),
  }),
  killed('leash killed, with a lock-delay', {
    ticketGoes: 'in time',
    prepare: (round) => (round.holderOptions = {flags: ['--lock-delay', '2s']}),
  }),
  killed('leash killed, network black-holed', {
    ticketGoes: 'in time',
    variants: 4,
    strike: (_, rounds) =>
      all(rounds, async (round) => {
        await blackHole(round)
        round.killHolder()
      }),
    // When the ticket has gone; or never.
    recover: ({tickets}, rounds) =>
      all(rounds, async ({holderLink, index, ticket, ttlMs}) => {
        if (index % 4 >= 2) return
        await tickets.deleted(ticket.key, ttlMs + 5000)
        await holderLink.each((wire) => wire.heal())
      }),
  }),
  killed('leash killed while its job forks in a chain', {variants: 4, modes: chains}),
  {
    name: 'job leaves a chain of forks behind',
    members: 'one',
    holder: 'kept',
    variants: 4,
    modes: chains,
  },
  {
    name: 'leash killed while it waits',
    members: 'one',
    holder: 'kept',
    variants: 2,
    strike: ({tickets}, rounds) =>
      all(rounds, async (round) => {
        const {waiterTicket, ttlMs} = round
        await round.killWaiter()
        await tickets.deleted(waiterTicket.key, ttlMs + 5000)
      }),
  },
  {
    name: 'leash frozen',
    members: 'one',
    holder: 'lost',
    byGuard: true,
    variants: 3,
    strike: (_, rounds) => all(rounds, ({holder}) => holder.kill('SIGSTOP')),
    // Continued as soon as the guard has acted; when KILL would be due; or when the next holder runs.
    recover: (_, rounds) =>
      all(rounds, async (round) => {
        if (round.index % 3 === 1) await untilMs(killDueAtMs(round))
        if (round.index % 3 === 2) await round.waiter.running(round.ttlMs + 5000)
        round.holder.kill('SIGCONT')
      }),
  },
  {
    name: 'leash frozen for a quarter of the TTL',
    members: 'one',
    holder: 'kept',
    variants: 2,
    strike: (_, rounds) =>
      all(rounds, async ({holder, ttlMs}) => {
        holder.kill('SIGSTOP')
        await pause(ttlMs / 4)
        holder.kill('SIGCONT')
      }),
  },
  {
    name: 'event loop blocked for longer than the TTL',
    members: 'one',
    holder: 'lost',
    byGuard: true,
    variants: 2,
    prepare: blockLoop,
    strike: (_, rounds) => all(rounds, ({holder}) => holder.kill('SIGWINCH')),
  },
  {
    name: 'guard killed',
    members: 'one',
    holder: 'lost',
    ticketGoes: 'at once',
    variants: 2,
    strike: (_, rounds) => all(rounds, ({holder}) => process.kill(holder.guardPid, 'SIGKILL')),
  },
  {
    name: 'guard frozen',
    members: 'one',
    holder: 'kept',
    variants: 2,
    strike: async (_, rounds) => {
      await all(rounds, ({holder}) => process.kill(holder.guardPid, 'SIGSTOP'))
      await aTtl(rounds)
    },
  },
  {
    name: 'guard frozen, network black-holed',
    members: 'one',
    holder: 'lost',
    variants: 2,
    strike: (_, rounds) =>
      all(rounds, async (round) => {
        process.kill(round.holder.guardPid, 'SIGSTOP')
        await blackHole(round)
      }),
    recover: (_, rounds) => all(rounds, ({holderLink}) => holderLink.each((wire) => wire.heal())),
  },
]
