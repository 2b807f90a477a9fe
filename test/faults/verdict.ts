/** What was seen of a round, and of several together. */
import type {Tier} from './characters.ts'

export interface Verdict {
  overlaps: number
  /** etcd's earliest possible deletion of the ticket, minus the end of the tree. Absent where the lease was not lost by time. */
  marginMs: number | undefined
  /** The end of the tree minus the ticket's deletion, where that came first. */
  deletionToEmptyMs: number | undefined
  /** From the kill of leash to the end of the tree, for each round. */
  killToEmptyMs: number[]
  /** From a proper release, from the kill of leash, or from the end of the fault, to the waiter's start. */
  handOverMs: number | undefined
  wrongStatuses: number
  leftovers: number
  /** In how many rounds leash said that it used this one, as it had to. */
  tiers: Record<Tier, number>
  /** For people, one paragraph each. */
  problems: string[]
}

export const emptyVerdict = (): Verdict => ({
  overlaps: 0,
  marginMs: undefined,
  deletionToEmptyMs: undefined,
  killToEmptyMs: [],
  handOverMs: undefined,
  wrongStatuses: 0,
  leftovers: 0,
  tiers: {cgroup: 0, session: 0},
  problems: [],
})

/** Runs a check that throws where something is not as it must be, and notes that. */
export const checkInto =
  (verdict: Verdict) =>
  async (check: () => void | Promise<void>): Promise<void> => {
    try {
      await check()
    } catch (error) {
      verdict.wrongStatuses++
      verdict.problems.push(error instanceof Error ? error.message : String(error))
    }
  }

const smaller = (one: number | undefined, other: number | undefined) =>
  one === undefined ? other : Math.min(one, other ?? one)
const larger = (one: number | undefined, other: number | undefined) =>
  one === undefined ? other : Math.max(one, other ?? one)

/** The worst of both in each respect. */
export const together = (one: Verdict, other: Verdict): Verdict => ({
  overlaps: one.overlaps + other.overlaps,
  marginMs: smaller(one.marginMs, other.marginMs),
  deletionToEmptyMs: larger(one.deletionToEmptyMs, other.deletionToEmptyMs),
  killToEmptyMs: [...one.killToEmptyMs, ...other.killToEmptyMs],
  handOverMs: larger(one.handOverMs, other.handOverMs),
  wrongStatuses: one.wrongStatuses + other.wrongStatuses,
  leftovers: one.leftovers + other.leftovers,
  tiers: {
    cgroup: one.tiers.cgroup + other.tiers.cgroup,
    session: one.tiers.session + other.tiers.session,
  },
  problems: [...one.problems, ...other.problems],
})
