import {readFileSync, readdirSync} from 'node:fs'

/** Signals that ask nobody to end, or need nobody awake: no CONT after them, or a stopped job would go on. */
const noCont: ReadonlySet<NodeJS.Signals> = new Set(['SIGKILL', 'SIGCONT', 'SIGUSR1', 'SIGUSR2'])

/**
 * Sends a signal to every process of a group. False if there was none left. After TERM (or whatever asks for an end)
 * a stopped process gets CONT as well, or it could not end.
 */
export function signalGroup(group: number, signal: NodeJS.Signals): boolean {
  const sent = send(group, signal)
  if (sent && !noCont.has(signal)) send(group, 'SIGCONT')
  return sent
}

/**
 * Whether no process of the group is alive. Zombies count as dead: a parent that does not reap (a container's first
 * process, often) would keep the group in the kernel's table for ever. A process that may not be inspected counts as
 * alive.
 *
 * Call it before each signal once the leader was reaped: while any process of the group is left, the kernel does not give
 * the number to anybody else; afterwards it may.
 */
export function isGroupEmpty(group: number): boolean {
  try {
    process.kill(-group, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
  // Twice: a process that was forked while we looked, by one that we no longer saw alive, is in the second list.
  return process.platform === 'linux' && !hasLiveMember(group) && !hasLiveMember(group)
}

function send(group: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-group, signal)
    return true
  } catch (error) {
    // EPERM: the group is there, but all of it has changed its user. It was not reached, and it is not gone.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function hasLiveMember(group: number): boolean {
  return readdirSync('/proc').some((name) => /^\d+$/.test(name) && isLiveMember(name, group))
}

function isLiveMember(pid: string, group: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // "pid (comm) state ppid pgrp ...": comm may hold anything, also parentheses and spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state, , pgrp] = fields
    // A process whose first thread has ended looks like a zombie while its other threads run on.
    const threads = Number(fields[17])
    return Number(pgrp) === group && ((state !== 'Z' && state !== 'X') || threads > 1)
  } catch (error) {
    // It ended while we looked; or we may not look, and then it may be alive.
    return !['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')
  }
}
