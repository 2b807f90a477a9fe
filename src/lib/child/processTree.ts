import {platform} from 'node:os'
import {type Containment, type Tier, send, signalMembers} from './containment.ts'
import {type LiveProcess, allPids, hasVariable, liveProcess, liveProcesses} from './procfs.ts'

/** What a tree is found by. */
export interface TreeRoot {
  /** The job's own process. */
  pid: number
  /** Whether it leads a session and group of its own; else it shares leash's, with who knows whom. */
  leads: boolean
  /** The name of a variable that nobody else has in its environment. */
  marker: string
}

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

  /** Make it while the process is known to be there. */
  constructor(root: TreeRoot) {
    this.#root = root
    const live = this.tier === 'session' ? liveProcess(root.pid) : undefined
    this.#startTicks = typeof live === 'object' ? live.startTicks : undefined
  }

  signal(signal: NodeJS.Signals, to: 'tree' | 'group'): void {
    const {pid, leads} = this.#root
    if (this.tier === 'group') send(leads ? -pid : pid, signal)
    else signalMembers(this.#membersAmong(allPids()), leads ? pid : undefined, signal, to)
  }

  kill(): void {
    this.signal('SIGKILL', 'tree')
  }

  isEmpty(): boolean {
    if (this.tier === 'group') return this.#isGroupGone()
    const pids = allPids()
    if (this.#membersAmong(pids).length > 0 || (this.#root.leads && this.#hasHiddenMembers())) return false
    // A process that was forked while we looked, by one that we no longer saw alive, is new in a second list.
    const seen = new Set(pids)
    return this.#membersAmong(allPids().filter((pid) => !seen.has(pid))).length === 0
  }

  pids(): number[] {
    return this.#membersAmong(allPids()).map(({pid}) => pid)
  }

  dispose(): void {}

  /** Where /proc shows only the user's own processes, one that changed its user is seen by the kernel's refusal alone. */
  #hasHiddenMembers(): boolean {
    try {
      process.kill(-this.#root.pid, 0)
      return false
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EPERM'
    }
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

  #membersAmong(pids: readonly number[]): LiveProcess[] {
    if (this.tier === 'group') return []
    const {pid, leads, marker} = this.#root
    const startTicks = this.#startTicks ?? 0
    const all = liveProcesses(pids).filter((live) => live.startTicks >= startTicks)
    const ofTree = leads ? isOfSession(pid) : isDescendant(pid, startTicks, all)
    return all.filter((live) => ofTree(live) || (live.pid !== process.pid && hasVariable(live.pid, marker)))
  }
}

function isOfSession(leader: number): (live: LiveProcess) => boolean {
  return ({session, group}) => session === leader || group === leader
}

function isDescendant(
  root: number,
  startTicks: number,
  all: readonly LiveProcess[],
): (live: LiveProcess) => boolean {
  const known = new Map(all.map((live) => [live.pid, live]))
  // A number that was given away anew has another start.
  const isRoot = (live: LiveProcess): boolean => live.pid === root && live.startTicks === startTicks
  return (live) => {
    for (let at: LiveProcess | undefined = live; at !== undefined; at = known.get(at.parent)) {
      if (isRoot(at)) return true
    }
    return false
  }
}
