import {closeSync, openSync, readFileSync, readSync, readdirSync} from 'node:fs'

/** What /proc tells of a process that is alive. */
export interface LiveProcess {
  pid: number
  parent: number
  group: number
  session: number
  /** In clock ticks since boot: together with the pid the process's identity. */
  startTicks: number
}

/** A line of /proc/PID/stat is shorter. */
const buffer = Buffer.allocUnsafe(4096)

/** The numbers of all processes, zombies included. */
export function allPids(): number[] {
  return readdirSync('/proc').map(Number).filter(Boolean)
}

/**
 * Those of these processes that are alive and may be inspected. Zombies are dead: a parent that does not reap (a container's
 * first process, often) would keep them in the kernel's table for ever.
 */
export function liveProcesses(pids: readonly number[]): LiveProcess[] {
  return pids.map((pid) => liveProcess(pid)).filter((live) => typeof live === 'object')
}

/** The same for one process; undefined if it is dead or gone, `unknown` if it is there and may not be inspected. */
export function liveProcess(pid: number): LiveProcess | 'unknown' | undefined {
  try {
    // Much faster than readFileSync, and there may be thousands.
    const fd = openSync(`/proc/${pid}/stat`, 'r')
    try {
      const length = readSync(fd, buffer, 0, buffer.length, 0)
      return parseStat(pid, buffer.toString('latin1', 0, length))
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    // It ended while we looked; or we may not look, and then it may be alive.
    return isGone(error) ? undefined : 'unknown'
  }
}

function parseStat(pid: number, stat: string): LiveProcess | undefined {
  // "pid (comm) state ppid pgrp session ...": comm may hold anything, also parentheses and spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, parent, group, session] = fields
  // A process whose first thread has ended looks like a zombie while its other threads run on.
  const threads = Number(fields[17])
  if ((state === 'Z' || state === 'X') && threads <= 1) return undefined
  return {
    pid,
    parent: Number(parent),
    group: Number(group),
    session: Number(session),
    startTicks: Number(fields[19]),
  }
}

/** Whether the process was started with a variable of this name; false if that may not be known. */
export function hasVariable(pid: number, name: string): boolean {
  try {
    const environ = readFileSync(`/proc/${pid}/environ`, 'latin1')
    if (environ !== '') return startsVariable(environ, name)
    // A process whose first thread has ended shows its environment by another thread only.
    const threads = readdirSync(`/proc/${pid}/task`).filter((thread) => Number(thread) !== pid)
    return threads.some((thread) =>
      startsVariable(readFileSync(`/proc/${pid}/task/${thread}/environ`, 'latin1'), name),
    )
  } catch {
    return false
  }
}

function startsVariable(environ: string, name: string): boolean {
  return environ.startsWith(`${name}=`) || environ.includes(`\0${name}=`)
}

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')
}
