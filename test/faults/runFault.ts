import {nowMs, pause} from '../support/wait.ts'
import type {Character} from './characters.ts'
import type {Fault} from './Fault.ts'
import {countOverlaps, judge} from './judge.ts'
import {leftOfStage} from './leftovers.ts'
import {Round} from './round.ts'
import {Stage} from './stage.ts'
import type {Engine, Tool} from './tools.ts'
import {emptyVerdict, together, type Verdict} from './verdict.ts'

export interface Plan {
  readonly rounds: number
  /** How many rounds stand side by side on one stage. */
  readonly jobs: number
  readonly ttlMs: number
  readonly tool: Tool
  /** What serves the locks: etcd, of both versions in turn, by default. */
  readonly engine?: Engine
  /** Gets what happened when in each round, whether anything was wrong or not. */
  readonly onStory?: (story: string) => void
}

export interface Row {
  readonly fault: Pick<Fault, 'name'>
  readonly rounds: number
  readonly seconds: number
  readonly verdict: Verdict
}

/** Of a longer lease only the beginning is struck, so that a round does not take minutes. */
const longestIntervalMs = 10_000

/** So many rounds of one fault, on a new etcd, or local engine, for each batch. */
export const runFault = async (fault: Fault, plan: Plan): Promise<Row> => {
  const startedAtMs = nowMs()
  let verdict = emptyVerdict()
  for (let first = 0, batch = 0; first < plan.rounds; first += plan.jobs, batch++) {
    const indices = Array.from(
      {length: Math.min(plan.jobs, plan.rounds - first)},
      (_, index) => first + index,
    )
    const version = batch % 2 === 0 ? '3.5' : '3.4'
    const server = plan.engine === 'local' ? plan.engine : version
    await using stage = await Stage.set({members: fault.members, server})
    verdict = together(verdict, await runBatch(fault, stage, indices, plan))
  }
  return {fault, rounds: plan.rounds, seconds: (nowMs() - startedAtMs) / 1000, verdict}
}

/** Rounds that stand side by side when the fault strikes all of them. */
const runBatch = async (
  fault: Fault,
  stage: Stage,
  indices: readonly number[],
  {tool, onStory, ...plan}: Plan,
): Promise<Verdict> => {
  const ttlMs = fault.ttlMs ?? plan.ttlMs
  const rounds = await Promise.all(
    indices.map((index) =>
      Round.set({stage, index, character: characterFor(tool, fault, index), ttlMs, tool}),
    ),
  )
  try {
    const {course} = fault
    const verdicts = course
      ? await Promise.all(rounds.map((round) => course(fault, round)))
      : await runTogether(fault, stage, rounds)
    for (const round of rounds) onStory?.(round.story())
    return [...verdicts, await leftOfStage(fault, stage, ttlMs)].reduce(together)
  } catch (error) {
    // A round that did not come about: a fault of leash or of this suite, and in any case not a pass.
    const verdict = {...emptyVerdict(), wrongStatuses: 1, problems: [describe(error)]}
    for (const round of rounds) countOverlaps(round, verdict)
    return verdict
  } finally {
    await Promise.all(rounds.map((round) => round[Symbol.asyncDispose]()))
  }
}

/** Also the first rounds of all faults meet all characters. */
const characterFor = (tool: Tool, fault: Fault, index: number): Character => {
  const character = tool.characterOf(tool.faults.indexOf(fault) + 1 + index)
  return fault.modes ? {...character, modes: fault.modes(index)} : character
}

const runTogether = async (fault: Fault, stage: Stage, rounds: readonly Round[]): Promise<Verdict[]> => {
  for (const round of rounds) fault.prepare?.(round)
  await Promise.all(rounds.map((round) => round.begin()))
  const ttlMs = Math.max(...rounds.map((round) => round.ttlMs))
  // The fault may strike at any point between two renewals.
  await pause((Math.random() * Math.min(ttlMs, longestIntervalMs)) / 4)
  for (const round of rounds) round.note(`fault: ${fault.name}`)
  await fault.strike?.(stage, rounds)
  if (fault.holder === 'lost' || fault.holder === 'killed')
    await Promise.all(rounds.map((round) => round.holder.treeEmpty(ttlMs + 3000).catch(() => undefined)))
  await fault.recover?.(stage, rounds)
  for (const round of rounds) round.noteFaultOver()
  return Promise.all(rounds.map((round) => judge(fault, round)))
}

const describe = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined
    ? (error.stack ?? error.message)
    : `${error.message}\n${describe(error.cause)}`
}
