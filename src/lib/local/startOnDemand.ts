import {spawn} from 'node:child_process'
import {lstatSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {type Socket, connect} from 'node:net'
import {join} from 'node:path'
import type {Clock} from '../core/clock.ts'
import {LeashError, type LeashErrorCode} from '../core/errors.ts'
import type {Place} from './place.ts'

/** How an engine is started. */
export interface EngineProgram {
  readonly argv: readonly [string, ...string[]]
  /** All of its environment. */
  readonly env: Readonly<Record<string, string>>
}

/** Long for a machine under load, on which an engine takes some hundred milliseconds to start. */
const startLimitMs = 10_000

/** Whoever waits for the engine that another one starts looks this often: a connection that is refused costs microseconds. */
const lookAgainMs = 10

/**
 * A turn is over then at the latest: whoever has it stands still, or its number is another process's by now. Soon enough for
 * those who wait to start an engine themselves, in their own time.
 */
const turnMs = startLimitMs / 2

const waitingAtStart = {closed: 'the engine ended', late: 'the engine did not come up in time'} as const

/**
 * Starts an engine if none listens, and resolves when one does: with true if it had to be waited for. Of several clients, one
 * starts an engine and the others wait for it; that saves work and guarantees nothing, since two engines are told apart by
 * their epochs.
 *
 * @throws LeashError what kept the engine from starting; `permission` if what stands in the place of the socket is not ours
 */
export async function startOnDemand(place: Place, program: EngineProgram, clock: Clock): Promise<boolean> {
  const untilMs = clock.elapsedMs() + startLimitMs
  for (let wasAway = false; ; wasAway = true) {
    if (await answers(place.socketPath)) return wasAway
    const turn = takeTurn(place.directory, clock.wallMs())
    if (turn !== undefined) {
      try {
        await launch(program, clock)
        return true
      } finally {
        turn.end()
      }
    }
    if (clock.elapsedMs() > untilMs) throw notStarted(waitingAtStart.late)
    await clock.sleepUntil(clock.elapsedMs() + lookAgainMs)
  }
}

/**
 * Whether somebody listens on a socket of this user. Node cannot ask who the peer is; but only this user, and root, can have
 * put a socket there.
 *
 * @throws LeashError `permission` if what is there belongs to somebody else, or is no socket; `unavailable` if we may not ask
 */
export async function answers(socketPath: string): Promise<boolean> {
  const status = lstatSync(socketPath, {throwIfNoEntry: false})
  if (status === undefined) return false
  if (!status.isSocket() || status.uid !== process.geteuid?.()) {
    const what = status.isSocket() ? `a socket of uid ${status.uid}` : 'no socket'
    const message = `${socketPath} is ${what}, so it is not the engine of this user`
    throw new LeashError('permission', message, 'find out who has put it there, and remove it')
  }
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath)
    const end = (isThere: boolean): void => {
      socket.destroy()
      resolve(isThere)
    }
    socket.once('connect', () => end(true))
    socket.once('error', ({code = ''}: NodeJS.ErrnoException) => {
      // EAGAIN: so many others wait that it has not heard of them yet (connect(2)). Another one would drop them all.
      if (code === 'EAGAIN' || nobodyThere.has(code)) end(code === 'EAGAIN')
      else reject(unasked(socketPath, code))
    })
  })
}

/** What connect(2) says of a socket that was left behind, or has just gone. */
const nobodyThere: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOENT'])

/** A service that may use no Unix sockets would end the engine of others by starting one that cannot serve anybody. */
function unasked(socketPath: string, code: string): LeashError {
  return new LeashError(
    'unavailable',
    `nobody can be asked at ${socketPath}: ${code}`,
    'check what this process may do (ulimit -n, RestrictAddressFamilies=)',
  )
}

/** Undefined while it is somebody else's turn to start an engine. */
function takeTurn(directory: string, wallMs: number): {end: () => void} | undefined {
  const path = join(directory, 'starting')
  const end = (): void => rmSync(path, {force: true})
  try {
    writeFileSync(path, String(process.pid), {flag: 'wx', mode: 0o600})
    return {end}
  } catch (error) {
    // A full disk, for one: the engine says so better.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return {end}
    if (isLeftBehind(path, wallMs)) end()
    return undefined
  }
}

/** Whether a client that was killed has left its turn behind. An empty file is about to get its number. */
function isLeftBehind(path: string, wallMs: number): boolean {
  try {
    if (Math.abs(wallMs - statSync(path).mtimeMs) > turnMs) return true
    const pid = Number(readFileSync(path, 'latin1'))
    if (pid > 0) process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

/**
 * Starts an engine of its own session, whose parent is gone: it is nobody's child, and no descendant of a job that leash runs.
 * It tells of its start on descriptor 3, and then closes that.
 */
async function launch({argv, env}: EngineProgram, clock: Clock): Promise<void> {
  const child = spawn('/bin/sh', ['-c', '"$@" &', 'leash', ...argv], {
    detached: true,
    cwd: '/',
    env: {...env},
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  const failed = new Promise<never>((_, reject) =>
    child.once('error', ({message}) => reject(notStarted(message))),
  )
  // Node makes no streams for a child that failed for want of descriptors.
  const socket = (child.stdio as typeof child.stdio | undefined)?.[3] as Socket | undefined
  const over = new AbortController()
  try {
    await Promise.race([
      failed,
      ...(socket === undefined ? [] : [told(socket)]),
      clock.sleepUntil(clock.elapsedMs() + startLimitMs, over.signal).then(() => {
        throw notStarted(waitingAtStart.late)
      }),
    ])
  } finally {
    over.abort()
    socket?.destroy()
  }
}

/** What the engine says of its start; see `EngineLink`. */
async function told(socket: Socket): Promise<void> {
  let text = ''
  socket.setEncoding('utf8')
  try {
    for await (const part of socket) text += part as string
  } catch {
    // It ended in the middle of a word.
  }
  if (text === ready) return
  let fault: {code: LeashErrorCode; message: string; wayOut: string}
  try {
    fault = JSON.parse(text) as typeof fault
  } catch {
    throw notStarted(waitingAtStart.closed)
  }
  throw new LeashError(fault.code, fault.message, fault.wayOut)
}

const ready = 'ready\n'

/**
 * The link to the client that has started us, as the engine has it: what it says goes to `told`. The client may be of another
 * version, when leash was upgraded after it had begun.
 */
export const engineLink = {
  /** Somebody listens: we, or another one. */
  ready,
  /** Why we do not. */
  failed: ({code, message, wayOut}: LeashError): string => `${JSON.stringify({code, message, wayOut})}\n`,
}

function notStarted(why: string): LeashError {
  return new LeashError(
    'unavailable',
    `no engine for the locks of this user on this machine could be started: ${why}`,
    'run leash serve to see why',
  )
}
