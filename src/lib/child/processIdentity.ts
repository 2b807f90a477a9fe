import {existsSync} from 'node:fs'
import {LeashError} from '../core/errors.ts'
import {allPids, liveProcess} from './procfs.ts'

/** A process, whoever may get its number when it has ended. */
export interface ProcessIdentity {
  pid: number
  /** When it started, in clock ticks since boot. */
  startTicks: number
}

/** Who is alive. */
export interface Processes {
  /** When the live process with this number started, in clock ticks since boot; undefined if there is none, or it may not be inspected. A zombie is dead. */
  startOf(pid: number): number | undefined
}

/** Those of this machine, as /proc shows them. */
export const runningProcesses: Processes = {
  startOf: (pid) => {
    const live = liveProcess(pid)
    return typeof live === 'object' ? live.startTicks : undefined
  },
}

/**
 * Reads which process `--keep` names, before anything is touched.
 *
 * @throws LeashError `usage` if that is no number of a live process, or of one that we may not or must not end; `config` where
 *   there is no /proc to tell it from who gets its number next
 */
export function identifyKept(text: string, processes: Processes = runningProcesses): ProcessIdentity {
  const refuse = (
    rule: string,
    wayOut = 'give the number of a running process of yours: $$ in a shell',
  ): never => {
    throw new LeashError('usage', `--keep ${JSON.stringify(text)} ${rule}`, wayOut)
  }
  if (!/^[1-9]\d*$/.test(text)) refuse('is no process number')
  const pid = Number(text)
  // The kernel lets nobody in its namespace end it.
  if (pid === 1)
    refuse('is the first process, which cannot be ended', 'start the script below an init: docker run --init')
  if (pid === process.pid) refuse('is leash itself')
  if (!existsSync('/proc/self/stat')) {
    throw new LeashError('config', '--keep needs /proc, which is not there', 'use leash run')
  }
  if (!maySignal(pid)) refuse("is another user's process")
  // The number of a thread has files there, too, but is not listed.
  const startTicks = allPids().includes(pid) ? processes.startOf(pid) : undefined
  return startTicks === undefined ? refuse('is no running process') : {pid, startTicks}
}

/** False if it is there and another user's. */
function maySignal(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EPERM'
  }
}
