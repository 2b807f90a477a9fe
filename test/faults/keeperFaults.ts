/** The keeper of a script, its guard, or the script itself is killed, frozen or blocked. */
import {nowMs, pause, until} from '../support/wait.ts'
import {aTtl, all, type Fault} from './Fault.ts'
import {keeperPid, keepersGuardPid} from './keptScript.ts'
import {blackHole, blockLoop, killDueAtMs, untilMs} from './processFaults.ts'
import type {Round} from './round.ts'

const signalKeeper = ({holder}: Round, signal: NodeJS.Signals): void =>
  void process.kill(keeperPid(holder), signal)
const signalGuard = ({holder}: Round, signal: NodeJS.Signals): void =>
  void process.kill(keepersGuardPid(holder), signal)

/** Its guard has TERM for all at once, and KILL for who does not obey, when it is due. */
const killKeeper = (round: Round): void => {
  const obeys = !round.character.modes.includes('ignore-term')
  if (obeys) round.killedAtMs = nowMs()
  signalKeeper(round, 'SIGKILL')
  round.note('holder: keeper killed')
}

const keeperKilled = (name: string, more: Partial<Fault> = {}): Fault => ({
  name,
  members: 'one',
  holder: 'lost',
  byGuard: true,
  gently: true,
  // Nobody makes the clean end: what is kept may go on doing what it does to end.
  ticketGoes: 'in time',
  variants: 2,
  strike: (_, rounds) => all(rounds, killKeeper),
  ...more,
})

/** The script becomes the command. */
const becomesCommand = (round: Round): void => void (round.holderOptions = {env: {KEPT: 'exec'}})

export const keeperFaults: readonly Fault[] = [
  keeperKilled('keeper killed'),
  // Long enough to tell TERM at once from KILL when it is due.
  keeperKilled('keeper killed, TTL 9 s', {ttlMs: 9000, modes: () => []}),
  keeperKilled('keeper killed, network black-holed', {
    strike: (_, rounds) =>
      all(rounds, async (round) => {
        await blackHole(round)
        killKeeper(round)
      }),
    recover: (_, rounds) => all(rounds, ({holderLink}) => holderLink.each((wire) => wire.heal())),
  }),
  {
    name: 'keeper killed after TERM, network black-holed',
    members: 'one',
    // By its guard, at the moment at which the keeper would have.
    holder: 'lost',
    gently: true,
    ticketGoes: 'in time',
    variants: 2,
    // The command outlives its shell: it has no parent any more by which the guard would find it.
    modes: (index) => ['ignore-term', ...(index % 2 === 0 ? [] : ['own-groups' as const]), 'tidy'],
    strike: (_, rounds) =>
      all(rounds, async (round) => {
        await blackHole(round)
        await round.holder.exited()
        signalKeeper(round, 'SIGKILL')
        round.note('holder: keeper killed')
      }),
    recover: (_, rounds) => all(rounds, ({holderLink}) => holderLink.each((wire) => wire.heal())),
  },
  {
    name: 'keeper frozen',
    members: 'one',
    holder: 'lost',
    byGuard: true,
    ticketGoes: 'in time',
    variants: 3,
    strike: (_, rounds) => all(rounds, (round) => signalKeeper(round, 'SIGSTOP')),
    // Continued as soon as the guard has acted; when KILL would be due; or when the next holder runs.
    recover: (_, rounds) =>
      all(rounds, async (round) => {
        if (round.index % 3 === 1) await untilMs(killDueAtMs(round))
        if (round.index % 3 === 2) await round.waiter.running(round.ttlMs + 5000)
        signalKeeper(round, 'SIGCONT')
      }),
  },
  {
    name: 'keeper frozen for a quarter of the TTL',
    members: 'one',
    holder: 'kept',
    variants: 2,
    strike: (_, rounds) =>
      all(rounds, async (round) => {
        signalKeeper(round, 'SIGSTOP')
        await pause(round.ttlMs / 4)
        signalKeeper(round, 'SIGCONT')
      }),
  },
  {
    name: "keeper's event loop blocked for longer than the TTL",
    members: 'one',
    holder: 'lost',
    byGuard: true,
    ticketGoes: 'in time',
    variants: 2,
    prepare: blockLoop,
    strike: (_, rounds) => all(rounds, (round) => signalKeeper(round, 'SIGWINCH')),
  },
  {
    name: "keeper's guard killed",
    members: 'one',
    // Another one takes its place.
    holder: 'kept',
    variants: 2,
    strike: async (_, rounds) => {
      await all(rounds, (round) => signalGuard(round, 'SIGKILL'))
      await aTtl(rounds)
    },
  },
  keeperKilled("keeper's guard killed, then the keeper", {
    strike: (_, rounds) =>
      all(rounds, async (round) => {
        const {holder} = round
        const killedPid = keepersGuardPid(holder)
        process.kill(killedPid, 'SIGKILL')
        await until('another guard to stand', () => keepersGuardPid(holder) !== killedPid, {withinMs: 3000})
        killKeeper(round)
      }),
  }),
  {
    name: "keeper's guard frozen",
    members: 'one',
    holder: 'kept',
    variants: 2,
    strike: async (_, rounds) => {
      await all(rounds, (round) => signalGuard(round, 'SIGSTOP'))
      await aTtl(rounds)
    },
  },
  {
    name: "keeper's guard frozen, network black-holed",
    members: 'one',
    holder: 'lost',
    gently: true,
    ticketGoes: 'in time',
    variants: 2,
    strike: (_, rounds) =>
      all(rounds, async (round) => {
        signalGuard(round, 'SIGSTOP')
        await blackHole(round)
      }),
    recover: (_, rounds) => all(rounds, ({holderLink}) => holderLink.each((wire) => wire.heal())),
  },
  {
    name: 'kept shell killed',
    members: 'one',
    holder: 'left',
    ticketGoes: 'in time',
    variants: 4,
    // Its command goes on, and ends before the lease does.
    strike: (_, rounds) =>
      all(rounds, (round) => {
        const {holder, stage, ticket, index} = round
        round.killHolder()
        const leftMs = (stage.ledger.expiresNotBeforeMs(ticket.lease) ?? 0) - nowMs()
        holder.tellToExit(0, Math.floor((leftMs * (index % 4)) / 4))
      }),
  },
  {
    name: "kept shell exec'ed",
    members: 'one',
    holder: 'left',
    ticketGoes: 'in time',
    variants: 2,
    prepare: becomesCommand,
    strike: (_, rounds) => aTtl(rounds),
  },
  {
    name: "kept shell exec'ed, network black-holed",
    members: 'one',
    holder: 'lost',
    ticketGoes: 'in time',
    variants: 2,
    prepare: becomesCommand,
    strike: (_, rounds) => all(rounds, blackHole),
    recover: (_, rounds) => all(rounds, ({holderLink}) => holderLink.each((wire) => wire.heal())),
  },
]
