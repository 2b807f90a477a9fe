/** What must be gone when all has ended. */
import {keysUnder, leases} from '../support/etcdGateway.ts'
import {until, WaitedInVain} from '../support/wait.ts'
import {cleanUpMs, type Fault} from './Fault.ts'
import type {Round} from './round.ts'
import type {Stage} from './stage.ts'
import {emptyVerdict, type Verdict} from './verdict.ts'

/** What is left when so much time has passed, or nothing before. */
export const leftAfter = async (
  withinMs: number,
  look: () => string[] | Promise<string[]>,
): Promise<Pick<Verdict, 'leftovers' | 'problems'>> => {
  let left: string[] = []
  const gone = async (): Promise<boolean> => (left = await look()).length === 0
  try {
    await until('nothing to be left', gone, {withinMs, everyMs: 100})
    return {leftovers: 0, problems: []}
  } catch (error) {
    if (!(error instanceof WaitedInVain)) throw error
    return {leftovers: left.length, problems: [`left after ${withinMs} ms: ${left.join(', ')}`]}
  }
}

/**
 * The end of each round: no key of it, and no process of its leashes, that is no job, no guard, nothing that either started, and no cgroup.
 * A round in which anything was wrong tells its story.
 */
export const noteWhatIsLeft = async (fault: Fault, round: Round, verdict: Verdict): Promise<void> => {
  const {leftovers, problems} = await leftAfter(cleanUpMs(fault, round.ttlMs), async () => {
    if (verdict.problems.length > 0) round.tellRunningToExit()
    const processes = round.processes().map(({pid, command}) => `process ${pid}: ${command}`)
    const cgroups = round.cgroups().map((cgroup) => `cgroup ${cgroup}`)
    return [...processes, ...cgroups, ...(await round.stage.keys(round.prefix))]
  })
  verdict.leftovers += leftovers
  verdict.problems.push(...problems)
  if (verdict.problems.length > 0) verdict.problems.push(round.story())
}

/** When all rounds of a stage have ended: no lease. */
export const leftOfStage = async (fault: Fault, stage: Stage, ttlMs: number): Promise<Verdict> => {
  const leases = async (): Promise<string[]> => (await stage.leases()).map((lease) => `lease ${lease}`)
  return {...emptyVerdict(), ...(await leftAfter(cleanUpMs(fault, ttlMs), leases))}
}

/** The keys and leases that an etcd still has after so much time, if it has any. */
export const leftAt = async ({url}: {readonly url: string}, withinMs: number): Promise<string[]> => {
  const {problems} = await leftAfter(withinMs, async () => [
    ...(await keysUnder(url, '')).map(({key}) => key),
    ...(await leases(url)).map((lease) => `lease ${lease}`),
  ])
  return problems
}
