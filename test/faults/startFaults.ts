/** leash is killed while it starts, whatever it has started by then. */
import type {Job} from '../support/Job.ts'
import {nowMs, pause, until} from '../support/wait.ts'
import {cleanUpMs, type Fault} from './Fault.ts'
import {countOverlaps, endOf, mustBe, mustSayTier, noteKill} from './judge.ts'
import {noteWhatIsLeft} from './leftovers.ts'
import type {Round} from './round.ts'
import {checkInto, emptyVerdict, type Verdict} from './verdict.ts'

/** Multiples of it, without their whole part, cover 0 to 1 evenly, however many there are. */
export const goldenRatio = (Math.sqrt(5) - 1) / 2

/** How long it takes from the spawn to the ticket, from that to the job, and from its end to that of all, on this machine at this moment. */
interface Pace {
  readonly toTicketMs: number
  readonly toJobMs: number
  readonly toEndMs: number
}

export const rehearse = async (round: Round): Promise<Pace> => {
  const startedAtMs = nowMs()
  const job = round.start('rehearsal', round.holderLink)
  const {atMs: ticketAtMs} = await round.nextTicket(job)
  const {atMs} = await job.running()
  mustBe("the rehearsal's status", await endOf(round, job, 0), 0)
  const toEndMs = (await job.exited()).atMs - (await job.treeEmpty())
  return {toTicketMs: ticketAtMs - startedAtMs, toJobMs: atMs - ticketAtMs, toEndMs}
}

/**
 * Even rounds: killed at any moment from the spawn until shortly after the job has started. Odd rounds: the same from the
 * ticket on, which is when leash starts the job. Resolves with the moment.
 */
const killWhileItStarts = async (round: Round, victim: Job, {toTicketMs, toJobMs}: Pace): Promise<number> => {
  const part = (Math.floor(round.index / 2) * goldenRatio) % 1
  if (round.index % 2 === 0) {
    await pause(part * (toTicketMs + 1.5 * toJobMs))
  } else {
    await round.nextTicket(victim)
    await pause(part * 1.5 * toJobMs)
  }
  const killedAtMs = nowMs()
  victim.kill('SIGKILL')
  round.note('holder: leash killed', killedAtMs)
  return killedAtMs
}

/** With nobody else about. Then another one comes, and must get its turn. */
const killedAtStart = async (fault: Fault, round: Round): Promise<Verdict> => {
  const verdict = emptyVerdict()
  const withinMs = cleanUpMs(fault, round.ttlMs)
  await checkInto(verdict)(async () => {
    const pace = await rehearse(round)
    const victim = round.start('holder', round.holderLink, {modes: round.character.modes})
    const killedAtMs = await killWhileItStarts(round, victim, pace)
    await round.enqueue('waiter')
    const {atMs} = await round.waiter.running(withinMs + 4000)
    verdict.handOverMs = atMs - killedAtMs
    mustBe("the waiter's status", await endOf(round, round.waiter, 0), 0)
    mustSayTier(round.waiter, round)
    verdict.tiers[round.character.tier]++
    mustBe("the holder's signal", (await victim.exited()).signal, 'SIGKILL')
    await until('all of the holder to be gone', () => victim.processes().length === 0, {withinMs})
    if (!round.oracle.notes().some(({name}) => name === 'holder')) return
    noteKill(round, verdict, killedAtMs, await victim.treeEmpty())
  })
  countOverlaps(round, verdict)
  await noteWhatIsLeft(fault, round, verdict)
  return verdict
}

export const startFaults: readonly Fault[] = [
  {
    name: 'leash killed at any moment of its start',
    members: 'one',
    holder: 'killed',
    variants: 8,
    course: killedAtStart,
  },
]
