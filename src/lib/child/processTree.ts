import {existsSync} from 'node:fs'
import {platform} from 'node:os'
import {type Containment, type Tier, send, signalMembers} from './containment.ts'
import {type LiveProcess, allPids, descendsFrom, hasVariable, hidesProcesses, liveProcess} from './procfs.ts'

/** What a tree is found by. */
export interface TreeRoot {
  /** The job's own process. */
  pid: number
  /** Whether it leads a session and group of its own; else it shares leash's, with who knows whom. */
  leads: boolean
  /** The name of a variable that nobody else has in its environment. */
  marker: string
}

/** How often we look again at once, at what is new only, because something had ended or was killed when we came to it. */
const mostLooks = 10
/**
 * What had ended may have been the job's and have forked another, which the same may happen to; but not for so long. Then it
 * was strangers', on a machine that forks a lot.
 */
const unclearForMs = 1000

/** What this machine has, if there is no cgroup. */
export const tierWithoutCgroup: Tier = platform() === 'linux' ? 'session' : 'group'

/**
 * A job's processes as far as they can be found without a cgroup: those of its session and process group, or, if it has none
 * of its own, those that descend from it; and those that carry its marker in their environment, wherever they went. Not
 * seen: who left the session *and* was started with another environment (`env -i setsid`, `sudo`).
 */
export class ProcessTree implements Containment {
  readonly tier = tierWithoutCgroup
  readonly #root: TreeRoot
  /** The job's own start, if there is a /proc: who started before is not of its tree. */
  readonly #startTicks: number | undefined
  /** Only then the kernel is asked for members that are not to be seen: its "no" is an exception, and Node's first takes 0.5 ms. */
  readonly #mayHaveHidden: boolean
  /** Since when none of them was seen, and something ended each time when we came to it. */
  #unclearSinceMs: number | undefined

  /** Make it while the process is known to be there. */
  constructor(root: TreeRoot) {
    this.#root = root
    const live = this.tier === 'session' ? liveProcess(root.pid) : undefined
    this.#startTicks = typeof live === 'object' ? live.startTicks : undefined
    this.#mayHaveHidden = root.leads && this.tier === 'session' && hidesProcesses()
  }

  signal(signal: NodeJS.Signals, to: 'tree' | 'group'): void {
    const {pid, leads} = this.#root
    if (this.tier === 'group') send(leads ? -pid : pid, signal)
    else signalMembers(this.#look(this.#allPids()).members, leads ? pid : undefined, signal, to)
  }

  /** Goes on for a while at once, with what is new only: it must be faster than a chain of forks. */
  kill(): void {
    const {pid, leads} = this.#root
    if (this.tier === 'group') return void send(leads ? -pid : pid, 'SIGKILL')
    // Before anything is looked for; and the number is ours as long as the job is alive.
    if (leads && this.#isJobAlive()) send(-pid, 'SIGKILL')
    const seen = new Set<number>()
    for (let look = 0, isMore = true; isMore && look < mostLooks; look++) {
      const pids = this.#allPids().filter((one) => !seen.has(one))
      const {members, uncertain, someEnded} = this.#look(pids)
      signalMembers(members, leads ? pid : undefined, 'SIGKILL', 'tree')
      for (const one of pids) if (!uncertain.has(one)) seen.add(one)
      isMore = members.length > 0 || uncertain.size > 0 || someEnded
    }
  }

  isEmpty(): boolean {
    if (this.tier === 'group') return this.#isGroupGone()
    if (this.#hasHiddenMembers()) return this.#seen()
    const seen = new Set<number>()
    for (let look = 0; look < mostLooks; look++) {
      const pids = this.#allPids().filter((pid) => !seen.has(pid))
      const {members, uncertain, someEnded} = this.#look(pids)
      if (members.length > 0) return this.#seen()
      if (!someEnded && uncertain.size === 0) return true
      // What has ended may have been the job's, and what it forked is new in the next list.
      for (const pid of pids) if (!uncertain.has(pid)) seen.add(pid)
    }
    this.#unclearSinceMs ??= performance.now()
    return performance.now() - this.#unclearSinceMs >= unclearForMs
  }

  isOccupied(): boolean {
    return !this.isEmpty() && this.#unclearSinceMs === undefined
  }

  #seen(): false {
    this.#unclearSinceMs = undefined
    return false
  }

  pids(): number[] {
    return this.#look(this.#allPids()).members.map(({pid}) => pid)
  }

  dispose(): void {}

  /** Where /proc shows only the user's own processes, one that changed its user is seen by the kernel's refusal alone. */
  #hasHiddenMembers(): boolean {
    if (!this.#mayHaveHidden || this.#isNumberOfAnother()) return false
    try {
      process.kill(-this.#root.pid, 0)
      return false
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EPERM'
    }
  }

  #isJobAlive(): boolean {
    const live = liveProcess(this.#root.pid)
    return typeof live === 'object' && live.startTicks === this.#startTicks
  }

  /** Who has got it has another start. It may come to that if we stood still, and the guard ended what the job had left. */
  #isNumberOfAnother(): boolean {
    // Mostly nobody has it any more, and the first exception is slow.
    const live = existsSync(`/proc/${this.#root.pid}`) && liveProcess(this.#root.pid)
    return typeof live === 'object' && live.startTicks !== this.#startTicks
  }

  #isGroupGone(): boolean {
    const {pid, leads} = this.#root
    try {
      process.kill(leads ? -pid : pid, 0)
      return false
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ESRCH'
    }
  }

  /**
   * All processes but those that are not worth a look: numbers below 300 are given only once (RESERVED_PIDS in Linux's
   * kernel/pid.c), so who has one that is lower than the job's was there before it. Most of the kernel's threads have.
   */
  #allPids(): number[] {
    const lowest = Math.min(this.#root.pid, 300)
    return allPids().filter((pid) => pid >= lowest)
  }

  /** Which of these processes are the job's; of which that cannot be said now; and whether one had ended before we came to it. */
  #look(pids: readonly number[]): {members: LiveProcess[]; uncertain: Set<number>; someEnded: boolean} {
    const uncertain = new Set<number>()
    if (this.tier === 'group') return {members: [], uncertain, someEnded: false}
    const {pid, leads, marker} = this.#root
    const startTicks = this.#startTicks ?? 0
    const found = pids.map((one) => liveProcess(one))
    const all = found
      .filter((live) => typeof live === 'object')
      .filter((live) => live.startTicks >= startTicks)
    const ofTree = this.#isNumberOfAnother()
      ? () => false
      : leads
        ? isOfSession(pid)
        : descendsFrom((live) => live.pid === pid, all)
    const members = all.filter((live) => {
      if (ofTree(live)) return true
      const isMarked = live.pid === process.pid ? false : hasVariable(live.pid, marker)
      if (isMarked === undefined) uncertain.add(live.pid)
      return isMarked
    })
    return {members, uncertain, someEnded: found.includes(undefined)}
  }
}

function isOfSession(leader: number): (live: LiveProcess) => boolean {
  return ({session, group}) => session === leader || group === leader
}
