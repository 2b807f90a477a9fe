import {nowMs, pause, until, WaitedInVain} from '../support/wait.ts'
import type {Fault} from './faults.ts'
import {cleanUpMs, emptyVerdict, judge, type Verdict} from './judge.ts'
import {Round} from './round.ts'
import {Stage} from './stage.ts'

export interface Plan {
  readonly rounds: number
  /** How many rounds stand side by side on one stage. */
  readonly jobs: number
  readonly ttlMs: number
  /** What is tested, if not the built leash. */
  readonly program?: readonly string[]
  /** Gets what happened when in each round, whether anything was wrong or not. */
  readonly onStory?: (story: string) => void
}

export interface Row {
  readonly fault: Fault
  readonly rounds: number
  readonly seconds: number
  readonly verdict: Verdict
}

const smaller = (one: number | undefined, other: number | undefined) =>
  one === undefined ? other : Math.min(one, other ?? one)
const larger = (one: number | undefined, other: number | undefined) =>
  one === undefined ? other : Math.max(one, other ?? one)

/** The worst of both in each respect. */
const together = (one: Verdict, other: Verdict): Verdict => ({
  overlaps: one.overlaps + other.overlaps,
  marginMs: smaller(one.marginMs, other.marginMs),
  deletionToEmptyMs: larger(one.deletionToEmptyMs, other.deletionToEmptyMs),
  handOverMs: larger(one.handOverMs, other.handOverMs),
  wrongStatuses: one.wrongStatuses + other.wrongStatuses,
  leftovers: one.leftovers + other.leftovers,
  problems: [...one.problems, ...other.problems],
})

/** So many rounds of one fault, on a new etcd for each batch, of both versions in turn. */
export const runFault = async (fault: Fault, plan: Plan): Promise<Row> => {
  const startedAtMs = nowMs()
  let verdict = emptyVerdict()
  for (let first = 0, batch = 0; first < plan.rounds; first += plan.jobs, batch++) {
    const indices = Array.from(
      {length: Math.min(plan.jobs, plan.rounds - first)},
      (_, index) => first + index,
    )
    await using stage = await Stage.set({members: fault.members, version: batch % 2 === 0 ? '3.5' : '3.4'})
    verdict = together(verdict, await runBatch(fault, stage, indices, plan))
  }
  return {fault, rounds: plan.rounds, seconds: (nowMs() - startedAtMs) / 1000, verdict}
}

/** Rounds that stand side by side when the fault strikes all of them. */
const runBatch = async (
  fault: Fault,
  stage: Stage,
  indices: readonly number[],
  {ttlMs, program, onStory}: Plan,
): Promise<Verdict> => {
  const rounds = await Promise.all(indices.map((index) => Round.set({stage, index, ttlMs, program})))
  try {
    for (const round of rounds) fault.prepare?.(round)
    await Promise.all(rounds.map((round) => round.begin()))
    // The fault may strike at any point between two renewals.
    await pause((Math.random() * ttlMs) / 4)
    for (const round of rounds) round.note(`fault: ${fault.name}`)
    await fault.strike?.(stage, rounds)
    if (fault.holder === 'lost')
      await Promise.all(rounds.map((round) => round.holder.treeEmpty(ttlMs + 3000).catch(() => undefined)))
    await fault.recover?.(stage, rounds)
    for (const round of rounds) round.noteFaultOver()
    const verdicts = await Promise.all(rounds.map((round) => judge(fault, round)))
    for (const round of rounds) onStory?.(round.story())
    return [...verdicts, await noLeaseIsLeft(fault, stage, ttlMs)].reduce(together)
  } catch (error) {
    // A round that did not come about: a fault of leash or of this suite, and in any case not a pass.
    return {...emptyVerdict(), wrongStatuses: 1, problems: [describe(error)]}
  } finally {
    await Promise.all(rounds.map((round) => round[Symbol.asyncDispose]()))
  }
}

const describe = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined
    ? (error.stack ?? error.message)
    : `${error.message}\n${describe(error.cause)}`
}

const noLeaseIsLeft = async (fault: Fault, stage: Stage, ttlMs: number): Promise<Verdict> => {
  const withinMs = cleanUpMs(fault, ttlMs)
  let left: string[] = []
  const gone = async () => (left = await stage.leases()).length === 0
  try {
    await until('no lease to be left', gone, {withinMs, everyMs: 100})
    return emptyVerdict()
  } catch (error) {
    if (!(error instanceof WaitedInVain)) throw error
    return {
      ...emptyVerdict(),
      leftovers: left.length,
      problems: [`leases left after ${withinMs} ms: ${left.join(', ')}`],
    }
  }
}
