import {closeSync, openSync, readFileSync, readSync, readdirSync} from 'node:fs'

/** What /proc tells of a process that is alive. */
export interface LiveProcess {
  pid: number
  parent: number
  group: number
  session: number
  /** In clock ticks since boot: together with the pid the process's identity. */
  startTicks: number
  /** It is ending, or becoming another program: its environment cannot be read for now. */
  inTransition: boolean
}

/** A line of /proc/PID/stat is shorter, and so are most environments. */
const buffer = Buffer.allocUnsafe(64 * 1024)

/** The numbers of all processes, zombies included. */
export function allPids(): number[] {
  return readdirSync('/proc').map(Number).filter(Boolean)
}

/** Whether a /proc that is mounted here hides other users' processes, or may do so. */
export function hidesProcesses(): boolean {
  try {
    return readFileSync('/proc/self/mountinfo', 'utf8').includes('hidepid=')
  } catch {
    return true
  }
}

/**
 * What there is to know of a process; undefined if it is dead or gone, `unknown` if it is there and may not be inspected.
 * Zombies are dead: a parent that does not reap (a container's first process, often) would keep them in the kernel's table for
 * ever.
 */
export function liveProcess(pid: number): LiveProcess | 'unknown' | undefined {
  try {
    return parseStat(pid, read(`/proc/${pid}/stat`).toString('latin1'))
  } catch (error) {
    // It ended while we looked; or we may not look, and then it may be alive.
    return isGone(error) ? undefined : 'unknown'
  }
}

/** Tells who of these processes is a root, or descends from one by parents that are among them. */
export function descendsFrom(
  isRoot: (live: LiveProcess) => boolean,
  all: readonly LiveProcess[],
): (live: LiveProcess) => boolean {
  const known = new Map(all.map((live) => [live.pid, live]))
  return (live) => {
    for (let at: LiveProcess | undefined = live; at !== undefined; at = known.get(at.parent)) {
      if (isRoot(at)) return true
    }
    return false
  }
}

/** Of a line of /proc/PID/stat, counted from the state on. */
const flagsField = 6
const envEndField = 48
const kernelThread = 0x00200000

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
    inTransition: fields[envEndField] === '0' && (Number(fields[flagsField]) & kernelThread) === 0,
  }
}

/**
 * Whether a live process was started with a variable of this name; false if that may not be known, undefined if it cannot be
 * said now, as it is ending or becoming another program.
 */
export function hasVariable(pid: number, name: string): boolean | undefined {
  try {
    const environ = read(`/proc/${pid}/environ`)
    if (environ.length > 0) return startsVariable(environ, name)
    // A process whose first thread has ended shows its environment by another thread only.
    const threads = readdirSync(`/proc/${pid}/task`).filter((thread) => Number(thread) !== pid)
    if (threads.length > 0)
      return threads.some((thread) => startsVariable(read(`/proc/${pid}/task/${thread}/environ`), name))
    const live = liveProcess(pid)
    return live === undefined || (typeof live === 'object' && live.inTransition) ? undefined : false
  } catch (error) {
    return isGone(error) ? undefined : false
  }
}

function startsVariable(environ: Buffer, name: string): boolean {
  const at = environ.indexOf(`${name}=`)
  return at === 0 || (at > 0 && environ.includes(`\0${name}=`))
}

/** A file of /proc, until the next one is read. Several times faster than readFileSync, and there may be thousands. */
function read(file: string): Buffer {
  const fd = openSync(file, 'r')
  try {
    const length = readSync(fd, buffer, 0, buffer.length, 0)
    return length < buffer.length ? buffer.subarray(0, length) : readFileSync(file)
  } finally {
    closeSync(fd)
  }
}

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')
}
