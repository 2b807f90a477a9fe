import type {Job} from '../support/Job.ts'
import type {Oracle} from '../support/oracle.ts'
import {nowMs} from '../support/wait.ts'

export interface Moment {
  readonly atMs: number
  readonly text: string
}

/** What happened when in a round, for the reader of a failure. */
export class Story {
  readonly #startedAtMs = nowMs()
  readonly #moments: Moment[] = []

  /** Something worth telling, at this moment or another. */
  note(text: string, atMs = nowMs()): void {
    this.#moments.push({atMs, text})
  }

  /** All of it, with what the oracle saw, and how its jobs stand. */
  tell(oracle: Oracle, jobs: readonly Job[], others: readonly Moment[] = []): string {
    const seen = [
      ...oracle.notes().map(({atMs, name, event}) => ({atMs, text: `${name}: ${event}`})),
      ...others,
      ...this.#moments,
      ...jobs.flatMap((job) =>
        job.emptyAtMs === undefined ? [] : [{atMs: job.emptyAtMs, text: `${job.name}: tree empty`}],
      ),
    ]
    const lines = seen
      .sort((one, other) => one.atMs - other.atMs)
      .map(({atMs, text}) => `  ${(atMs - this.#startedAtMs).toFixed(0).padStart(7)} ms  ${text}`)
    return [...lines, ...jobs.map((job) => job.describe())].join('\n')
  }
}
