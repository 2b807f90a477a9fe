import type {Clock} from '../core/clock.ts'
import {send} from './containment.ts'
import {type ProcessIdentity, type Processes, runningProcesses} from './processIdentity.ts'
import {allPids, descendsFrom, liveProcess} from './procfs.ts'

/** How soon its end is noticed. Nobody waits for that: the lease then runs out, which takes seconds. */
const lookEveryMs = 500
/** How often a kill looks for what was forked meanwhile. All that was found stands still by then. */
const mostLooks = 10

/**
 * A process that is not our child, whose number can be somebody else's at any time; and its descendants, which are found by
 * their parents and remembered once they were seen, so that they are not lost when their parent ends. Not seen: what has lost
 * its parent before. Each is told by its number and its start, which is looked at before each signal. We and our own
 * descendants are never meant, though the process may be our ancestor.
 */
export class KeptProcess {
  readonly #root: ProcessIdentity
  readonly #clock: Clock
  readonly #processes: Processes
  /** Of it and of its descendants that were seen: when they started, by their numbers. */
  readonly #seen: Map<number, number>
  readonly #ended = new AbortController()
  #cancelLook = (): void => {}

  /** Looks for its end until `close` is called. */
  constructor(root: ProcessIdentity, clock: Clock, processes: Processes = runningProcesses) {
    this.#root = root
    this.#clock = clock
    this.#processes = processes
    this.#seen = new Map([[root.pid, root.startTicks]])
    this.#lookForEnd()
  }

  /** Whether the process itself is alive. */
  isAlive(): boolean {
    return this.#isThere(this.#root)
  }

  /** Aborted when the process itself has ended. */
  get ended(): AbortSignal {
    return this.#ended.signal
  }

  /** Sends a signal to it and to all that descends from it now; CONT as well, so that who was stopped can end. */
  tell(signal: NodeJS.Signals): void {
    this.#look()
    this.#send(signal)
  }

  /** KILL to it and its descendants. Again, until it is empty. */
  kill(): void {
    // Who is stopped forks nobody whom we would not find once the parent is dead; and no shell goes on with its next line
    // because its child was killed.
    for (let look = 0, isMore = true; isMore && look < mostLooks; look++) {
      this.#send('SIGSTOP')
      isMore = this.#look()
    }
    this.#send('SIGKILL')
  }

  /** Whether neither it nor a descendant that was seen is alive; looks for new ones. */
  isEmpty(): boolean {
    this.#look()
    return this.pids().length === 0
  }

  /** The live ones among it and its descendants that were seen, for people. */
  pids(): number[] {
    return [...this.#seen].filter(([pid, startTicks]) => this.#isThere({pid, startTicks})).map(([pid]) => pid)
  }

  /** Looks no more for its end. */
  close(): void {
    this.#cancelLook()
  }

  #lookForEnd(): void {
    if (!this.isAlive()) return this.#ended.abort()
    this.#cancelLook = this.#clock.schedule(lookEveryMs, () => this.#lookForEnd())
  }

  /** Whether there was somebody new. */
  #look(): boolean {
    const alive = new Set(this.pids())
    for (const pid of this.#seen.keys()) if (!alive.has(pid)) this.#seen.delete(pid)
    const all = allPids()
      .filter((pid) => pid !== process.pid)
      .map((pid) => liveProcess(pid))
      .filter((live) => typeof live === 'object')
    const isOfTree = descendsFrom(({pid, startTicks}) => this.#seen.get(pid) === startTicks, all)
    const tree = all.filter(isOfTree)
    for (const {pid, startTicks} of tree) this.#seen.set(pid, startTicks)
    return tree.some(({pid}) => !alive.has(pid))
  }

  #send(signal: NodeJS.Signals): void {
    for (const [pid, startTicks] of this.#seen) if (this.#isThere({pid, startTicks})) send(pid, signal)
  }

  #isThere({pid, startTicks}: ProcessIdentity): boolean {
    return this.#processes.startOf(pid) === startTicks
  }
}
