import {nowMs, pause} from '../support/wait.ts'
import {characterOf} from './characters.ts'
import {countOverlaps, endOf, mustBe, mustSayTier, noteKill} from './judge.ts'
import {leftAfter} from './leftovers.ts'
import {localEngineFaults, type LocalFault} from './localEngineFaults.ts'
import {LocalRound} from './localRound.ts'
import {ownStatus} from './round.ts'
import type {Plan, Row} from './runFault.ts'
import {checkInto, emptyVerdict, together, type Verdict} from './verdict.ts'

/** A lease that nobody gives back has its whole time again when an engine starts, which may be at the end of it. */
const longestHeldMs = (ttlMs: number): number => 2 * ttlMs + 10_000

/** So many rounds of one fault, each on a machine of its own. */
export const runLocalFault = async (
  fault: LocalFault,
  {rounds, jobs, onStory, ...plan}: Omit<Plan, 'tool' | 'engine'>,
): Promise<Row> => {
  const startedAtMs = nowMs()
  const ttlMs = fault.ttlMs === undefined ? plan.ttlMs : Math.max(fault.ttlMs, plan.ttlMs)
  let verdict = emptyVerdict()
  for (let first = 0; first < rounds; first += jobs) {
    const batch = Array.from({length: Math.min(jobs, rounds - first)}, (_, index) => first + index)
    const verdicts = await Promise.all(batch.map((index) => runRound(fault, index, ttlMs, onStory)))
    verdict = [verdict, ...verdicts].reduce(together)
  }
  return {fault, rounds, seconds: (nowMs() - startedAtMs) / 1000, verdict}
}

const runRound = async (
  fault: LocalFault,
  index: number,
  ttlMs: number,
  onStory: Plan['onStory'],
): Promise<Verdict> => {
  const character = characterOf(localEngineFaults.indexOf(fault) + 1 + index)
  await using round = await LocalRound.set({index, ttlMs, character})
  const verdict = emptyVerdict()
  await checkInto(verdict)(() => strike(fault, round, verdict))
  countOverlaps(round, verdict)
  await noteWhatIsLeft(round, verdict)
  onStory?.(round.story())
  if (verdict.problems.length > 0) verdict.problems.push(round.story())
  return verdict
}

/** From the start of the holder to the end of the waiter. */
const strike = async (fault: LocalFault, round: LocalRound, verdict: Verdict): Promise<void> => {
  const {ttlMs, character} = round
  await fault.prepare?.(round)
  await round.begin()
  // The fault may strike at any point between two renewals.
  await pause((Math.random() * ttlMs) / 4)
  const {holder, waiter} = round
  round.note(`fault: ${fault.name}`)
  await fault.strike(round)
  round.note('fault over')
  await holderEnds(fault, round, verdict)
  const emptyAtMs = await holder.treeEmpty(1000)
  const {atMs} = await waiter.running(longestHeldMs(ttlMs))
  if (fault.holder === 'kept') verdict.handOverMs = atMs - emptyAtMs
  mustBe("the waiter's status", await endOf(round, waiter, 0), 0)
  if (fault.holder !== 'killed') mustSayTier(holder, round)
  mustSayTier(waiter, round)
  verdict.tiers[character.tier]++
}

const holderEnds = async (
  {holder: fate, isRenewedMeanwhile}: LocalFault,
  round: LocalRound,
  verdict: Verdict,
): Promise<void> => {
  const {holder, killedAtMs, ttlMs} = round
  if (fate === 'kept') {
    if (holder.emptyAtMs !== undefined) verdict.problems.push('the job was ended, or ended by itself')
    mustBe("the holder's status", await endOf(round, holder, ownStatus), ownStatus)
    return
  }
  const emptyAtMs = await holder.treeEmpty(ttlMs + 3000)
  if (killedAtMs !== undefined) noteKill(round, verdict, killedAtMs, emptyAtMs)
  const sinceMs = round.silentSinceMs ?? killedAtMs
  if (sinceMs === undefined) throw new Error('the fault has struck nobody')
  if (!isRenewedMeanwhile && emptyAtMs - sinceMs > ttlMs) verdict.problems.push('the job was ended late')
  mustBe("the holder's status", await endOf(round, holder, ownStatus), fate === 'lost' ? 79 : 'SIGKILL')
}

/** No key, no lease, no process of its leashes, no cgroup; and when the engine is told to end, nothing of it but the store. */
const noteWhatIsLeft = async (round: LocalRound, verdict: Verdict): Promise<void> => {
  const {leftovers, problems} = await leftAfter(2 * round.ttlMs + 5000, async () => {
    if (verdict.problems.length > 0) round.tellRunningToExit()
    return [
      ...round.processes().map(({pid, command}) => `process ${pid}: ${command}`),
      ...round.cgroups().map((cgroup) => `cgroup ${cgroup}`),
      ...(await round.stored().catch((error: unknown) => [String(error)])),
    ]
  })
  verdict.leftovers += leftovers
  verdict.problems.push(...problems)
  await checkInto(verdict)(async () => {
    await round.endEngines()
    mustBe('what is left of the engine', round.files().join(' '), 'store')
  })
}
