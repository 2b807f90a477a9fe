/** What must be true of every round, whatever struck it, and the numbers that say by how much. */
import type {Exit, Job} from '../support/Job.ts'
import {cleanUpMs, type Fault} from './Fault.ts'
import {noteWhatIsLeft} from './leftovers.ts'
import {ownStatus, type Round} from './round.ts'
import {checkInto, emptyVerdict, type Verdict} from './verdict.ts'

/** With nothing to hold them together, processes that come and go are swept up again and again, until a sweep gets the last one. */
const chaseLimitMs = 3000

/** At this TTL and above, in rounds run singly, margins are those that users get. */
const fullMarginTtlMs = 10_000
const fullMarginMs = 250

/**
 * Below the settling time of the next holder, so that an early deletion costs no overlap; and with a killed leash, at once. With
 * many rounds side by side only the oracle knows: there it is no more than a bound.
 */
const toEmptyLimitMs = (ttlMs: number): number => (ttlMs >= fullMarginTtlMs ? 300 : 2000)

/** After a proper release, with etcd in reach: longer than any retry that leash may be pausing for. */
const handOverLimitMs = 3000

/** After the kill of leash: the guard has to start Node for the clean end, with many others beside it. Far below the long TTL. */
const killToHandOverLimitMs = 5000

/** Sees a round to its end after the fault: the holder's, then the waiter's turn, then what is left. */
export const judge = async (fault: Fault, round: Round): Promise<Verdict> => {
  const verdict = emptyVerdict()
  const check = checkInto(verdict)
  await check(() => holderEnds(fault, round, verdict))
  await check(() => waiterTakesOver(fault, round, verdict))
  await check(() => ticketGoes(fault, round))
  await check(() => everybodySaysTheTier(fault, round, verdict))
  await check(async () => void (await Promise.all(round.cuts.map((cut) => cut.done(0)))))
  await measure(fault, round, verdict)
  await noteWhatIsLeft(fault, round, verdict)
  return verdict
}

export const mustBe = (what: string, seen: unknown, expected: unknown): void => {
  if (seen !== expected) throw new Error(`${what} is ${String(seen)}, not ${String(expected)}`)
}

export const mustBeOneOf = (what: string, seen: unknown, expected: readonly unknown[]): void => {
  if (!expected.includes(seen)) throw new Error(`${what} is ${String(seen)}, not ${expected.join(' or ')}`)
}

/** A job that ended by itself did so before leash could end it, whatever came next. */
const endedByItself = ({oracle}: Round, job: Job): boolean =>
  oracle.notes().some(({name, event}) => name === job.name && event === 'ended')

/** Tells the job to end with a status, unless it has been ended already; answers how leash itself ended then. */
export const endOf = async (
  round: Pick<Round, 'ttlMs' | 'note'>,
  job: Job,
  own: number,
): Promise<Exit['status'] | Exit['signal']> => {
  if (job.emptyAtMs === undefined) job.tellToExit(own)
  const {status, signal, atMs} = await job.exited(round.ttlMs + 10_000)
  round.note(`${job.name}: leash ended with ${status ?? signal}`, atMs)
  return status ?? signal
}

const holderEnds = async ({holder: fate, gently}: Fault, round: Round, verdict: Verdict): Promise<void> => {
  const mustBeEnded = fate === 'lost' || fate === 'killed'
  if (mustBeEnded && round.holder.emptyAtMs === undefined) verdict.problems.push('the holder was not ended')
  const status = await endOf(round, round.holder, ownStatus)
  const lost = fate === 'lost' || (fate === 'either' && !endedByItself(round, round.holder))
  const wasKilled = !lost && round.killedAtMs !== undefined
  const lostEnds = gently ? ['SIGTERM'] : round.tool.lostEnds
  mustBeOneOf("the holder's status", status, lost ? lostEnds : [wasKilled ? 'SIGKILL' : ownStatus])
}

const waiterTakesOver = async (fault: Fault, round: Round, verdict: Verdict): Promise<void> => {
  const {waiter, ttlMs, ticket, stage, killedAtMs} = round
  const {atMs} = await waiter.running(cleanUpMs(fault, ttlMs) + 4000)
  const couldAtMs = Math.max(round.faultOverAtMs, stage.tickets.deletedAtMs(ticket.key) ?? 0)
  if (fault.holder === 'kept' || fault.ticketGoes === 'at once') {
    verdict.handOverMs = atMs - (killedAtMs ?? couldAtMs)
    const limitMs = killedAtMs === undefined ? handOverLimitMs : killToHandOverLimitMs
    if (verdict.handOverMs > limitMs) verdict.problems.push('the waiter started late')
  }
  const status = await endOf(round, waiter, 0)
  // While the fault goes on, a waiter that has taken over is a holder like any other.
  const lost = fault.holder === 'either' && !endedByItself(round, waiter)
  mustBeOneOf("the waiter's status", status, lost ? round.tool.lostEnds : [0])
}

/** Asked when the waiter has had its turn. */
const ticketGoes = ({ticketGoes: how}: Fault, {stage, ticket}: Round): void => {
  if (how === undefined) return
  const expiresNotBeforeMs = stage.ledger.expiresNotBeforeMs(ticket.lease) ?? -Infinity
  const isEarly = (stage.tickets.deletedAtMs(ticket.key) ?? Infinity) < expiresNotBeforeMs
  mustBe("the end of the holder's ticket", isEarly ? 'at once' : 'in time', how)
}

/** Who was killed says nothing, and started nothing if it was still waiting. */
const everybodySaysTheTier = (fault: Fault, round: Round, verdict: Verdict): void => {
  const {holder, waiter, killedWaiters, character, tool} = round
  for (const job of killedWaiters)
    if (job.hasStarted) verdict.problems.push(`${job.name} was killed in the queue, and its job started`)
  if (!tool.saysTier) return
  if (fault.holder !== 'killed') mustSayTier(holder, round)
  mustSayTier(waiter, round)
  verdict.tiers[character.tier]++
}

/** In its status file: leash has used the containment that it was to use. */
export const mustSayTier = (job: Job, {character}: Pick<Round, 'character'>): void => {
  const {containment} = (job.status() ?? {}) as {containment?: unknown}
  mustBe(`what contained the ${job.name}'s job`, containment, character.tier)
}

const measure = async (fault: Fault, round: Round, verdict: Verdict): Promise<void> => {
  const {holder, stage, ticket, ttlMs, killedAtMs} = round
  countOverlaps(round, verdict)
  if (holder.emptyAtMs === undefined || endedByItself(round, holder)) return
  const emptyAtMs = restsSinceMs(round) ?? holder.emptyAtMs
  const expiresNotBeforeMs = stage.ledger.expiresNotBeforeMs(ticket.lease) ?? -Infinity
  round.note("etcd could expire the holder's lease from here on", expiresNotBeforeMs)
  if (killedAtMs !== undefined) noteKill(round, verdict, killedAtMs, holder.emptyAtMs)
  const deletedAtMs = round.deletedByUsAtMs ?? (await stage.tickets.deleted(ticket.key, 2 * ttlMs + 10_000))
  if (fault.againstCausality && deletedAtMs < emptyAtMs) {
    verdict.deletionToEmptyMs = emptyAtMs - deletedAtMs
    if (verdict.deletionToEmptyMs > toEmptyLimitMs(ttlMs))
      verdict.problems.push('the tree ended too long after the deletion')
    return
  }
  // After the tree's end leash itself may delete its ticket; before, only etcd can have done it.
  verdict.marginMs = (deletedAtMs < emptyAtMs ? deletedAtMs : expiresNotBeforeMs) - emptyAtMs
  if (verdict.marginMs < neededMarginMs(fault, ttlMs))
    verdict.problems.push(`a margin of ${verdict.marginMs.toFixed(1)} ms`)
}

/** Of a holder that works in steps, and ended between two of them: when the last one had ended. */
const restsSinceMs = ({oracle, holder}: Round): number | undefined => {
  const last = oracle.notes().findLast(({name}) => name === holder.name)
  return last?.event === 'resting' ? last.atMs : undefined
}

export const noteKill = (
  round: Pick<Round, 'character' | 'ttlMs'>,
  verdict: Verdict,
  killedAtMs: number,
  emptyAtMs: number,
): void => {
  const {modes, tier} = round.character
  const isChase = tier === 'session' && modes.includes('setsid') && modes.includes('fork-loop')
  const tookMs = emptyAtMs - killedAtMs
  verdict.killToEmptyMs = [tookMs]
  if (tookMs > (isChase ? chaseLimitMs : toEmptyLimitMs(round.ttlMs)))
    verdict.problems.push('the tree ended too long after leash was killed')
}

export const countOverlaps = ({oracle}: Pick<Round, 'oracle'>, verdict: Verdict): void => {
  const violations = oracle.violations()
  verdict.overlaps += violations.length
  for (const {name, atMs} of violations) {
    const end = oracle.notes().find((note) => note.name === name && note.event === 'overlap-ended')
    verdict.problems.push(`OVERLAP of ${end ? `${(end.atMs - atMs).toFixed(1)} ms` : 'unknown length'}`)
  }
}

/** The guard acts before KILL would be due: that is 1 % of the TTL and the kill margin before its end. */
const neededMarginMs = ({byGuard}: Fault, ttlMs: number): number => {
  if (byGuard) return 0.01 * ttlMs + Math.max(250, 0.025 * ttlMs)
  return ttlMs >= fullMarginTtlMs ? fullMarginMs : 0
}
