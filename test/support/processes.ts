/** What the kernel says about processes: /proc, read from outside. */
import {readdirSync, readFileSync} from 'node:fs'
import {cgroupsKnownTo, removeCgroups} from './cgroups.ts'

/** The fields of /proc/PID/stat from the state on, or undefined when there is no such process. */
const statFields = (pid: number | string): string[] | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The second field is the program's name in parentheses, which may itself contain any of these characters.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

export const isStopped = (pid: number): boolean => statFields(pid)?.[0] === 'T'

/** There, and not just a zombie that waits for its parent. */
export const isAlive = (pid: number): boolean => {
  const state = statFields(pid)?.[0]
  return state !== undefined && state !== 'Z' && state !== 'X'
}

/** The process id of its parent, or undefined when there is no such process. */
export const parentOf = (pid: number): number | undefined => {
  const parent = statFields(pid)?.[1]
  return parent === undefined ? undefined : Number(parent)
}

/** The command line of a process, empty when there is no such process. */
export const commandOf = (pid: number | string): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim()
  } catch {
    return ''
  }
}

export interface Found {
  readonly pid: number
  readonly command: string
}

/**
 * Live processes whose start environment contains `marker`: a mark that a test put into the environment of what
 * it started is inherited by all that comes from it, whatever session or group it moved to. Not seen: a process
 * that was started with a cleared environment, and those of other users.
 */
export const processesMarked = (marker: string): Found[] => {
  const found: Found[] = []
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      if (!readFileSync(`/proc/${entry}/environ`, 'latin1').includes(marker)) continue
      if (isAlive(Number(entry))) found.push({pid: Number(entry), command: commandOf(entry)})
    } catch {
      // Gone meanwhile, or not ours to read.
    }
  }
  return found
}

/**
 * SIGKILL to all that carry the mark, again until none is left: one of them may just have started another. Their cgroups go,
 * too, as nobody is left who would remove them.
 */
export const killMarked = (marker: string): void => {
  const cgroups = new Set<string>()
  for (let sweep = 0; sweep < 10; sweep++) {
    const found = processesMarked(marker)
    for (const cgroup of cgroupsKnownTo(found)) cgroups.add(cgroup)
    if (found.length === 0) break
    for (const {pid} of found) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // Gone meanwhile.
      }
    }
  }
  removeCgroups(cgroups)
}
