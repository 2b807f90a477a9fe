import type {Plan, Row} from './runFault.ts'
import type {Verdict} from './verdict.ts'

/** On a machine that needs longer than this for what takes milliseconds elsewhere, nothing about time can be tested. */
const patience = 3

/** Where several can be about, or one alone. */
export class Floor {
  readonly #about = new Set<Promise<unknown>>()
  #lastSolo: Promise<unknown> = Promise.resolve()

  /** Beside others, but not while one is to be alone. */
  async together<T>(work: () => Promise<T>): Promise<T> {
    for (let seen: unknown; seen !== this.#lastSolo;) {
      seen = this.#lastSolo
      await seen
    }
    const working = work()
    this.#about.add(working)
    return working.finally(() => this.#about.delete(working))
  }

  /** When all that are about have ended, one after the other. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#lastSolo
    const solo = before.then(() => Promise.allSettled(this.#about)).then(work)
    this.#lastSolo = solo.catch(() => {})
    return solo
  }
}

/**
 * One row. With a TTL of a few seconds, want of CPU alone can lose a lease, make a margin small, or a start late: so what
 * fails without harm is run once more, one round after the other, with nothing else about and a longer TTL, and only that
 * counts. Two trees at once, and what is left behind, have no such excuse: they fail at once.
 */
export const verdictWithSecondChance = async <P extends Pick<Plan, 'jobs' | 'ttlMs'>>(
  strike: (plan: P) => Promise<Row>,
  plan: P,
  floor: Floor,
): Promise<Verdict> => {
  const first = await floor.together(() => strike(plan)).then(({verdict}) => verdict)
  if (first.problems.length === 0 || first.overlaps > 0 || first.leftovers > 0) return first
  const again = {...plan, jobs: 1, ttlMs: patience * plan.ttlMs}
  const {verdict} = await floor.alone(() => strike(again))
  if (verdict.problems.length === 0) return verdict
  const once = `once more, alone, TTL ${again.ttlMs} ms:`
  return {...verdict, problems: [...first.problems, once, ...verdict.problems]}
}
