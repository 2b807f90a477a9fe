import {accessSync, constants, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {type Containment, send, signalMembers} from './containment.ts'
import {liveProcess} from './procfs.ts'

/** @param id of the job, 16 hex digits */
export const jobCgroupName = (id: string): string => `leash-${id}`
const jobName = /^leash-[0-9a-f]{16}$/

/** How often a cgroup is tried to be removed, whose processes fork the next ones. The first try is for one that is empty. */
const mostRemovals = 5

/** How long what was killed is left alone: it needs the processors to end. 200 processes take 15 ms. */
const againAfterMs = 20

/**
 * A cgroup v2 of the job's own, below the one that leash is in. What is forked in it stays in it; `cgroup.kill` (Linux 5.14)
 * ends all of it at once, what is being forked included; `cgroup.events` says whether anything in it is alive, threads
 * counted and zombies not. A process can leave it only if it may write to another cgroup: root, or an owner of the subtree
 * that asks systemd to move it.
 */
export class Cgroup implements Containment {
  readonly tier = 'cgroup'
  readonly directory: string
  #group: number | undefined
  #killedAtMs: number | undefined
  #isRemoved = false

  private constructor(directory: string) {
    this.directory = directory
  }

  /**
   * Where one of this name can be made, if it can.
   *
   * @param name its last part; nobody else's
   * @throws what the file system says, if the kernel has no such thing
   */
  static place(name: string): string {
    return path.join(ownDirectory(), name)
  }

  /**
   * Makes one.
   *
   * @throws what the file system says, if this user may not
   */
  static make(directory: string): Cgroup {
    mkdirSync(directory)
    const cgroup = new Cgroup(directory)
    try {
      accessSync(cgroup.#file('cgroup.kill'), constants.W_OK)
      // To move a process between the two, one must be able to write to both.
      accessSync(path.join(directory, '../cgroup.procs'), constants.W_OK)
      return cgroup
    } catch (error) {
      cgroup.dispose()
      throw error
    }
  }

  /**
   * Tells it that the process which becomes the job leads a process group. It is the guard that moves it in: the kernel waits
   * for all its processors then, 10 ms or so, in which etcd may answer leash.
   */
  ledBy(job: number): void {
    this.#group = job
  }

  signal(signal: NodeJS.Signals, to: 'tree' | 'group'): void {
    const members = this.pids()
      .map((pid) => liveProcess(pid))
      .filter((live) => typeof live === 'object')
    signalMembers(members, this.#group, signal, to)
  }

  kill(): void {
    const nowMs = performance.now()
    const isFirst = this.#killedAtMs === undefined
    this.#killedAtMs ??= nowMs
    if (!isFirst && nowMs - this.#killedAtMs < againAfterMs) return
    this.#ifThere(() => writeFileSync(this.#file('cgroup.kill'), '1'), undefined)
    // That passes over a process whose first thread has ended (seen on Linux 6.18).
    if (!isFirst) for (const pid of this.pids()) send(pid, 'SIGKILL')
  }

  isEmpty(): boolean {
    try {
      return /^populated 0$/m.test(readFileSync(this.#file('cgroup.events'), 'latin1'))
    } catch (error) {
      // Only an empty one can be removed, as the guard does when it has seen it empty.
      return ['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')
    }
  }

  isOccupied(): boolean {
    return !this.isEmpty()
  }

  pids(): number[] {
    return this.#ifThere(() => this.#subtree().flatMap((directory) => processesIn(directory)), [])
  }

  /** Removes it. What the job left behind in it goes on in leash's own cgroup. */
  dispose(): void {
    // Again, as what is put out may fork just then.
    for (let tries = 0; tries < mostRemovals && !this.#isRemoved; tries++) {
      this.#isRemoved = this.#ifThere(() => {
        if (tries > 0) for (const pid of this.pids()) this.#putOut(pid)
        for (const directory of tries > 0 ? this.#subtree() : [this.directory]) rmdirSync(directory)
        return true
      }, false)
    }
  }

  #putOut(pid: number): void {
    try {
      writeFileSync(path.join(path.dirname(this.directory), 'cgroup.procs'), String(pid))
    } catch {
      // It has ended by itself.
    }
  }

  /** All cgroups in it, which the job may have made, the innermost first, and itself. */
  #subtree(): string[] {
    const below = readdirSync(this.directory, {withFileTypes: true, recursive: true})
      .filter((entry) => entry.isDirectory())
      .map((entry) => path.join(entry.parentPath, entry.name))
    return [...below.sort((one, other) => other.length - one.length), this.directory]
  }

  #file(name: string): string {
    return path.join(this.directory, name)
  }

  /** It may be gone, and a removal that fails is nobody's concern. */
  #ifThere<T>(act: () => T, otherwise: T): T {
    try {
      return act()
    } catch {
      return otherwise
    }
  }
}

/**
 * Moves this process out of the job, or the jobs around it, that it was started in, to where the outermost leash is: a job's
 * cgroup is ended with the job. Where that may not be, it stays.
 */
export function leaveJobs(): void {
  try {
    const own = ownDirectory()
    const parts = own.split('/')
    const outermost = parts.findIndex((part) => jobName.test(part))
    if (outermost >= 0)
      writeFileSync(path.join('/', ...parts.slice(0, outermost), 'cgroup.procs'), String(process.pid))
  } catch {
    // There are no cgroups, or this user may not.
  }
}

function processesIn(directory: string): number[] {
  const text = readFileSync(path.join(directory, 'cgroup.procs'), 'latin1')
  return text.split('\n').filter(Boolean).map(Number)
}

/** Where the cgroup v2 that we are in is mounted. */
function ownDirectory(): string {
  const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1]
  // ID PARENT MAJOR:MINOR ROOT MOUNT-POINT OPTIONS... - TYPE ...; the root is not / where a container sees a part only.
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
  const at = mounts.indexOf(' - cgroup2 ')
  if (own === undefined || at === -1) throw new Error('there is no cgroup v2 here')
  const [, , , root = '/', mountPoint = ''] = mounts.slice(mounts.lastIndexOf('\n', at) + 1, at).split(' ')
  return path.join(mountPoint, path.relative(root, own))
}
