import {closeSync, fstatSync, writeSync} from 'node:fs'
import {leaveJobs} from './lib/child/cgroup.ts'
import {closeInherited} from './lib/child/inheritance.ts'
import {LeashError} from './lib/core/errors.ts'
import {type Place, localPlace} from './lib/local/place.ts'
import {answers, engineLink} from './lib/local/startOnDemand.ts'
import {systemWorld} from './lib/config/world.ts'
import {systemClock} from './lib/systemClock.ts'

/** Where the client that has started us listens. */
const linkDescriptor = 3

/**
 * An engine that was started on demand waits for the next one who needs it. Told to end, it serves for as long as jobs have to
 * end by default: whoever ends a unit, a login session or the machine tells it and the jobs in there at once, and to give its
 * lock back a job would have to start another engine, which nobody tells to end.
 */
const onDemand = {idleMs: 60_000, patienceMs: 10_000}

/**
 * Serves the local locks of this user until TERM or INT comes, or another engine takes over. It takes over itself from one
 * that runs: the engine that somebody has started last is the one that is wanted, and leases and locks stand in the store.
 *
 * @param tell when somebody can connect
 * @param settings `idleMs` as `startEngine`; `patienceMs` as `Engine.stop`, for TERM and INT
 * @returns why it ended
 * @throws LeashError as `startEngine`, and for what has ended the engine
 */
export async function serveLocal(
  place: Place,
  tell: () => void,
  {idleMs, patienceMs}: {idleMs?: number; patienceMs?: number} = {},
): Promise<'stopped' | 'idle' | 'superseded'> {
  process.umask(0o077)
  // What it would print of a socket that cannot be made is in our own words.
  process.env['GRPC_VERBOSITY'] ??= 'NONE'
  const {startEngine} = await import('./lib/local/engine.ts')
  const input = {...place, clock: systemClock(), ...(idleMs !== undefined && {idleMs})}
  const engine = await startEngine(input).catch((error: unknown) => Promise.reject(ours(error)))
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void engine.stop(patienceMs))
  tell()
  const end = await engine.ended
  if (end.why === 'failed') throw ours(end.error)
  return end.why
}

/** The engine is loaded beside the bundle of the commands, and so its faults are of another class than theirs. */
function ours(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error))
  if (error.name !== 'LeashError') return error
  const {code, message, wayOut} = error as LeashError
  return new LeashError(code, message, wayOut, {cause: error})
}

/**
 * The same for a command that found no engine, and waits on descriptor 3 to hear of this one; it ends by itself when nobody
 * needs it. Whatever the command was part of, a job of leash, a pipe, a flock, does not end with it, nor wait for it.
 *
 * @throws LeashError `usage` if nobody waits
 */
export async function serveOnDemand(): Promise<void> {
  const say = openLink()
  closeInherited()
  leaveJobs()
  process.on('SIGHUP', () => {})
  try {
    const place = localPlace(systemWorld())
    // Another client was quicker.
    if (await answers(place.socketPath)) return say(engineLink.ready)
    await serveLocal(place, () => say(engineLink.ready), onDemand)
  } catch (error) {
    const fault =
      error instanceof LeashError
        ? error
        : new LeashError('bug', `this is a bug in leash: ${String(error)}`, 'please report it')
    say(engineLink.failed(fault))
    throw error
  }
}

/** Once: whoever waits hears the end of it. */
function openLink(): (text: string) => void {
  if (!isSocket(linkDescriptor)) {
    const message = `descriptor ${linkDescriptor} is no socket`
    throw new LeashError('usage', message, 'leave this option to leash')
  }
  let isOpen = true
  return (text) => {
    if (!isOpen) return
    isOpen = false
    try {
      writeSync(linkDescriptor, text)
    } catch {
      // It waits no longer.
    }
    closeSync(linkDescriptor)
  }
}

function isSocket(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isSocket()
  } catch {
    return false
  }
}
