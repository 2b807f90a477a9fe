/** What must be true of every round, whatever struck it, and the numbers that say by how much. */
import {until, WaitedInVain} from '../support/wait.ts'
import type {Exit, Job} from '../support/Job.ts'
import {ownStatus, type Fault} from './faults.ts'
import type {Round} from './round.ts'

const lostStatus = 79

/** Below the settling time of the next holder, so that an early deletion costs no overlap. */
const deletionToEmptyLimitMs = 300

/** At this TTL and above, in rounds run singly, margins are those that users get. */
const fullMarginTtlMs = 10_000
const fullMarginMs = 250

/** After a proper release, with etcd in reach: longer than any retry that leash may be pausing for. */
const handOverLimitMs = 3000

export interface Verdict {
  overlaps: number
  /** etcd's earliest possible deletion of the ticket, minus the end of the tree. Absent where the lease was not lost by time. */
  marginMs: number | undefined
  /** The end of the tree minus the ticket's deletion, where that came first. */
  deletionToEmptyMs: number | undefined
  /** From a proper release, or the end of the fault, to the waiter's start. */
  handOverMs: number | undefined
  wrongStatuses: number
  leftovers: number
  /** For people, one paragraph each. */
  problems: string[]
}

export const emptyVerdict = (): Verdict => ({
  overlaps: 0,
  marginMs: undefined,
  deletionToEmptyMs: undefined,
  handOverMs: undefined,
  wrongStatuses: 0,
  leftovers: 0,
  problems: [],
})

/** How long after the last end something may still be there. */
export const cleanUpMs = ({strikesEtcd}: Fault, ttlMs: number): number =>
  strikesEtcd ? 2 * ttlMs + 10_000 : ttlMs + 1000

/** Sees a round to its end after the fault: the holder's, then the waiter's turn, then what is left. */
export const judge = async (fault: Fault, round: Round): Promise<Verdict> => {
  const verdict = emptyVerdict()
  const expectation = async (check: () => Promise<void>): Promise<void> => {
    try {
      await check()
    } catch (error) {
      verdict.wrongStatuses++
      verdict.problems.push(error instanceof Error ? error.message : String(error))
    }
  }
  await expectation(() => holderEnds(fault, round, verdict))
  await expectation(() => waiterTakesOver(fault, round, verdict))
  await expectation(async () => void (await Promise.all(round.cuts.map((cut) => cut.done(0)))))
  await measure(fault, round, verdict)
  await nothingIsLeft(fault, round, verdict)
  if (verdict.problems.length > 0) verdict.problems.push(round.story())
  return verdict
}

const mustBe = (what: string, seen: unknown, expected: unknown): void => {
  if (seen !== expected) throw new Error(`${what} is ${String(seen)}, not ${String(expected)}`)
}

/** A job that ended by itself did so before leash could end it, whatever came next. */
const endedByItself = ({oracle}: Round, job: Job): boolean =>
  oracle.notes().some(({name, event}) => name === job.name && event === 'ended')

/** Tells the job to end with a status, unless it has been ended already; answers how leash itself ended then. */
const endOf = async (round: Round, job: Job, own: number): Promise<Exit['status'] | Exit['signal']> => {
  if (job.emptyAtMs === undefined) job.tellToExit(own)
  const {status, signal, atMs} = await job.exited(round.ttlMs + 10_000)
  round.note(`${job.name}: leash ended with ${status ?? signal}`, atMs)
  return status ?? signal
}

const holderEnds = async ({holder: fate}: Fault, round: Round, verdict: Verdict): Promise<void> => {
  if (fate === 'lost' && round.holder.emptyAtMs === undefined)
    verdict.problems.push('the holder was not ended')
  const status = await endOf(round, round.holder, ownStatus)
  const lost = fate === 'lost' || (fate === 'either' && !endedByItself(round, round.holder))
  mustBe("the holder's status", status, lost ? lostStatus : ownStatus)
}

const waiterTakesOver = async (fault: Fault, round: Round, verdict: Verdict): Promise<void> => {
  const {waiter, ttlMs, ticket, stage} = round
  const {atMs} = await waiter.running(cleanUpMs(fault, ttlMs) + 4000)
  const couldAtMs = Math.max(round.faultOverAtMs, stage.tickets.deletedAtMs(ticket.key) ?? 0)
  if (fault.holder === 'kept') {
    verdict.handOverMs = atMs - couldAtMs
    if (verdict.handOverMs > handOverLimitMs) verdict.problems.push('the waiter started late')
  }
  const status = await endOf(round, waiter, 0)
  // While the fault goes on, a waiter that has taken over is a holder like any other.
  const lost = fault.holder === 'either' && !endedByItself(round, waiter)
  mustBe("the waiter's status", status, lost ? lostStatus : 0)
}

const measure = async ({againstCausality}: Fault, round: Round, verdict: Verdict): Promise<void> => {
  const {holder, oracle, stage, ticket, ttlMs} = round
  const violations = oracle.violations()
  verdict.overlaps = violations.length
  for (const {name, atMs} of violations) {
    const end = oracle.notes().find((note) => note.name === name && note.event === 'overlap-ended')
    verdict.problems.push(`OVERLAP of ${end ? `${(end.atMs - atMs).toFixed(1)} ms` : 'unknown length'}`)
  }
  const {emptyAtMs} = holder
  if (emptyAtMs === undefined || endedByItself(round, holder)) return
  const expiresNotBeforeMs = stage.ledger.expiresNotBeforeMs(ticket.lease) ?? -Infinity
  round.note("etcd could expire the holder's lease from here on", expiresNotBeforeMs)
  const deletedAtMs = round.deletedByUsAtMs ?? (await stage.tickets.deleted(ticket.key, 2 * ttlMs + 10_000))
  if (againstCausality && deletedAtMs < emptyAtMs) {
    verdict.deletionToEmptyMs = emptyAtMs - deletedAtMs
    if (verdict.deletionToEmptyMs > deletionToEmptyLimitMs)
      verdict.problems.push('the tree ended too long after the deletion')
    return
  }
  // After the tree's end leash itself may delete its ticket; before, only etcd can have done it.
  verdict.marginMs = (deletedAtMs < emptyAtMs ? deletedAtMs : expiresNotBeforeMs) - emptyAtMs
  const neededMs = ttlMs >= fullMarginTtlMs ? fullMarginMs : 0
  if (verdict.marginMs < neededMs) verdict.problems.push(`a margin of ${verdict.marginMs.toFixed(1)} ms`)
}

/** No key of this round, no process of either leash. Leases are looked for when all rounds of the stage have ended. */
const nothingIsLeft = async (
  fault: Fault,
  {holder, waiter, stage, prefix, ttlMs}: Round,
  verdict: Verdict,
): Promise<void> => {
  let left: string[] = []
  const gone = async (): Promise<boolean> => {
    const processes = [...holder.processes(), ...waiter.processes()].map(
      ({pid, command}) => `process ${pid}: ${command}`,
    )
    left = [...processes, ...(await stage.keys(prefix))]
    return left.length === 0
  }
  try {
    await until('nothing to be left', gone, {withinMs: cleanUpMs(fault, ttlMs), everyMs: 100})
  } catch (error) {
    if (!(error instanceof WaitedInVain)) throw error
    verdict.leftovers = left.length
    verdict.problems.push(`left after ${cleanUpMs(fault, ttlMs)} ms: ${left.join(', ')}`)
  }
}
