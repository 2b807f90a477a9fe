/** What can be seen of cgroups v2 from outside of leash. */
import {spawnSync} from 'node:child_process'
import {randomUUID} from 'node:crypto'
import {mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import type {Cgroup} from '../../src/lib/child/cgroup.ts'
import type {Found} from './processes.ts'
import {until} from './wait.ts'

/** The directory of the cgroup v2 that we are in, and so is what we start; undefined where there is none to be seen. */
const ownCgroup = (): string | undefined => {
  // Ids, device, root and place of the mount, options, and after a dash the file system.
  const mount = /^\S+ \S+ \S+ (\S+) (\S+) .* - cgroup2 /m.exec(read('/proc/self/mountinfo'))
  const own = /^0::(.*)$/m.exec(read('/proc/self/cgroup'))?.[1]
  if (!mount?.[1] || !mount[2] || own === undefined) return undefined
  return path.join(mount[2], path.relative(mount[1], own))
}

const read = (file: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

let isPossible: boolean | undefined

/** Moves a process into a job's cgroup, as the guard does. */
export const moveInto = (cgroup: Cgroup, {pid, leads}: {pid: number; leads: boolean}): void => {
  writeFileSync(path.join(cgroup.directory, 'cgroup.procs'), String(pid))
  if (leads) cgroup.ledBy(pid)
}

/** Whether a cgroup can be made below our own, entered, and killed: tried out, with a process that dies of it. */
export const canContainByCgroup = (): boolean => (isPossible ??= tryOut())

const tryOut = (): boolean => {
  let tried: string
  try {
    tried = makeCgroup()
  } catch {
    return false
  }
  const script = 'echo $$ >"$1/cgroup.procs" && echo 1 >"$1/cgroup.kill"; sleep 1'
  const {signal} = spawnSync('sh', ['-c', script, 'sh', tried], {stdio: 'ignore'})
  rmdirSync(tried)
  return signal === 'SIGKILL'
}

const makeCgroup = (): string => {
  const directory = path.join(ownCgroup() ?? '', `test-${randomUUID()}`)
  mkdirSync(directory)
  return directory
}

/**
 * A cgroup of a test's own. What is started in it, and all that comes from that, is in it or in a cgroup below it, whatever
 * environment, session or parent it has. Where none can be made, nothing is to be seen in it.
 */
export class Enclosure {
  readonly #directory = canContainByCgroup() ? makeCgroup() : undefined

  /** The command line that starts a command in it, without a process in between. */
  command(command: readonly string[]): string[] {
    if (this.#directory === undefined) return [...command]
    return ['sh', '-c', 'echo $$ >"$0/cgroup.procs" && exec "$@"', this.#directory, ...command]
  }

  /** All that is in it. */
  pids(): number[] {
    return [this.#directory, ...this.cgroups()].flatMap((directory) =>
      read(path.join(directory ?? '', 'cgroup.procs'))
        .split('\n')
        .filter(Boolean)
        .map(Number),
    )
  }

  /** The cgroups below it. */
  cgroups(): string[] {
    if (this.#directory === undefined) return []
    try {
      return readdirSync(this.#directory, {withFileTypes: true, recursive: true})
        .filter((entry) => entry.isDirectory())
        .map(({parentPath, name}) => path.join(parentPath, name))
    } catch (error) {
      // One of them has gone while we looked.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return this.cgroups()
      throw error
    }
  }

  /** Kills all that is in it. */
  kill(): void {
    if (this.#directory !== undefined) writeFileSync(path.join(this.#directory, 'cgroup.kill'), '1')
  }

  /** Removes it when all that was in it has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#directory === undefined) return
    const events = path.join(this.#directory, 'cgroup.events')
    await until('a cgroup to be empty', () => read(events).includes('populated 0'), {withinMs: 5000})
    const below = this.cgroups().toSorted((one, other) => other.length - one.length)
    for (const directory of [...below, this.#directory]) rmdirSync(directory)
  }
}

/** The directories of the cgroups of leash that these processes are in, or were told of; they may be gone. */
export const cgroupsKnownTo = (processes: readonly Found[]): string[] => {
  const own = ownCgroup()
  if (own === undefined) return []
  const names = processes.flatMap(({pid, command}) => [
    ...`${command} ${read(`/proc/${pid}/cgroup`)}`.matchAll(/\bleash-[0-9a-f]{16}\b/g),
  ])
  return [...new Set(names.map(([name]) => path.join(own, name)))]
}

/** Removes those of these cgroups that are there without processes: what their owner would have done, had it not been killed. */
export const removeCgroups = (directories: Iterable<string>): void => {
  for (const directory of directories) {
    try {
      rmdirSync(directory)
    } catch {
      // Gone already, or still in use by somebody who will remove it.
    }
  }
}
