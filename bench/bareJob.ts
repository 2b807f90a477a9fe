import {type ChildProcess, spawn} from 'node:child_process'
import type {Containment} from '../src/lib/child/containment.ts'
import type {JobPlan} from '../src/lib/child/guardedJob.ts'

/*
 * A job without guard, stub and containment, as other tools start theirs: what the bench builds into leash in the place of
 * src/lib/child/guardedJob.ts, to see what those cost. It exports the same.
 */

export function hasEnded({exitCode, signalCode}: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

export class GuardedJob {
  readonly guard = {died: new AbortController().signal, dismiss: (): void => {}}
  readonly containment: Omit<Containment, 'pids'>
  readonly #plan: JobPlan
  #child: ChildProcess | undefined

  private constructor(plan: JobPlan) {
    this.#plan = plan
    const signal = (name: NodeJS.Signals | 0): boolean => {
      try {
        return process.kill(-(this.#child?.pid ?? 0), name)
      } catch {
        return false
      }
    }
    this.containment = {
      tier: 'group',
      signal: (name) => void signal(name),
      kill: () => void signal('SIGKILL'),
      isEmpty: () => !signal(0),
      isOccupied: () => signal(0),
      dispose: () => {},
    }
  }

  static prepare(plan: JobPlan): Promise<GuardedJob> {
    return Promise.resolve(new GuardedJob(plan))
  }

  get process(): ChildProcess {
    if (this.#child === undefined) throw new Error('the job has not been started')
    return this.#child
  }

  arm(): Promise<undefined> {
    const [file, ...args] = this.#plan.argv
    this.#child = spawn(file, args, {detached: true, env: this.#plan.inheritance.env, stdio: 'inherit'})
    return Promise.resolve(undefined)
  }

  go(): void {}

  extend(): Promise<void> {
    return Promise.resolve()
  }

  endSoon(): void {}

  endedAfter(): boolean {
    return false
  }

  treeEmpty(): void {}

  discard(): Promise<void> {
    return Promise.resolve()
  }
}
