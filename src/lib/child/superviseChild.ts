import {type ChildProcess, spawn} from 'node:child_process'
import type {Clock} from '../core/clock.ts'
import {LeashError} from '../core/errors.ts'
import type {LossCause} from '../core/session.ts'
import {isGroupEmpty, signalGroup} from './processGroup.ts'
import {type ChildEnd, type Supervision, type SupervisionEvent, supervise} from './supervision.ts'

/** What to run. */
export interface ChildCommand {
  argv: readonly [string, ...string[]]
  env: NodeJS.ProcessEnv
  /** The gentle signal at a loss, and for processes that the child leaves behind. */
  stopSignal: NodeJS.Signals
  /** From that to KILL, for processes that the child leaves behind; at a loss the timeline decides. */
  graceMs: number
}

/** What the supervisor listens to. */
export interface Supervising {
  clock: Clock
  /** Aborted at a loss, with a `LossCause`. */
  lost: AbortSignal
  /** Aborted when the ticket is gone: kill. */
  gone: AbortSignal
  /** Called once, when the child runs. */
  onStarted: (forward: (signal: NodeJS.Signals) => void) => void
}

/** How a tree ended; it was seen empty. */
export interface TreeEnd {
  child: ChildEnd
  /** Why the tree was ended, if it did not end by itself. */
  cause?: LossCause
  /** The child left processes behind, which were ended. */
  leftovers: boolean
}

/** How soon an empty tree is noticed: after 1 ms, doubled up to this for a tree that takes its time. */
const longestPollMs = 50

/**
 * Starts the command as the leader of a session and process group of its own, and resolves when that group was seen
 * empty, however it came to its end.
 *
 * @throws LeashError `notFound` or `notExecutable` if it cannot be started
 */
export async function superviseChild(command: ChildCommand, parts: Supervising): Promise<TreeEnd> {
  const child = await start(command)
  return new Promise((resolve) => watchOver(child, child.pid, command, parts, resolve))
}

function watchOver(
  child: ChildProcess,
  group: number,
  command: ChildCommand,
  {clock, lost, gone, onStarted}: Supervising,
  onEmpty: (end: TreeEnd) => void,
): void {
  let now: Supervision = {state: 'running'}
  let leftovers = false
  let cancelPoll = (): void => {}
  /** From then on the group's number may be somebody else's. */
  const isOver = (): boolean => hasEnded(child) && isGroupEmpty(group)

  const on = (event: SupervisionEvent, nextPollMs = 1): void => {
    const {supervision, effect} = supervise(now, event)
    now = supervision
    if (effect !== undefined) signalGroup(group, effect === 'kill' ? 'SIGKILL' : command.stopSignal)
    leftovers ||= now.state === 'leaving'
    cancelPoll()
    if (now.state === 'empty') finish(now)
    else if (now.state !== 'running') cancelPoll = clock.schedule(nextPollMs, () => poll(nextPollMs))
  }
  const poll = (delayMs: number): void => {
    // Until Node has reaped the leader, its end is not known; the leader's number is not free before either.
    if (isOver()) on({type: 'treeEmpty'})
    else on({type: 'clock', nowMs: clock.elapsedMs()}, Math.min(delayMs * 2, longestPollMs))
  }
  const onLost = (): void => {
    const cause = lost.reason as LossCause
    if (cause.kind === 'ticketGone') onGone()
    else on({type: 'lost', cause, nowMs: clock.elapsedMs()})
  }
  const onGone = (): void => on({type: isOver() ? 'treeEmpty' : 'ticketGone'})
  /** An exception that nobody caught does not leave the job without a supervisor. */
  const onExit = (): void => void signalGroup(group, 'SIGKILL')
  const finish = ({cause}: Supervision & {state: 'empty'}): void => {
    lost.removeEventListener('abort', onLost)
    gone.removeEventListener('abort', onGone)
    process.off('exit', onExit)
    onEmpty({child: endOf(child), ...(cause && {cause}), leftovers})
  }

  process.prependOnceListener('exit', onExit)
  child.once('exit', () => {
    const treeEmpty = isGroupEmpty(group)
    on({type: 'childEnded', end: endOf(child), treeEmpty, nowMs: clock.elapsedMs(), graceMs: command.graceMs})
  })
  lost.addEventListener('abort', onLost, {once: true})
  gone.addEventListener('abort', onGone, {once: true})
  onStarted((signal) => {
    if (now.state !== 'empty' && !isOver()) signalGroup(group, signal)
  })
  if (gone.aborted) onGone()
  else if (lost.aborted) onLost()
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

function endOf({exitCode, signalCode}: ChildProcess): ChildEnd {
  return signalCode === null ? {code: exitCode ?? 0} : {signal: signalCode}
}

async function start({argv, env}: ChildCommand): Promise<ChildProcess & {pid: number}> {
  const [file, ...args] = argv
  try {
    const child = spawn(file, args, {detached: true, env, stdio: 'inherit'})
    if (child.pid !== undefined) return child as ChildProcess & {pid: number}
    return await new Promise((_, reject) => child.once('error', reject))
  } catch (error) {
    // Node throws some faults (E2BIG: arguments and environment are too long) and emits the others.
    throw startFailure(error as NodeJS.ErrnoException, file)
  }
}

/** What a shell would say, with its statuses: 127 if there is no such command, 126 if it cannot be executed. */
function startFailure(cause: NodeJS.ErrnoException, file: string): LeashError {
  if (cause.code === 'ENOENT') {
    const wayOut = 'check the name, PATH, and the interpreter in its first line'
    return new LeashError('notFound', `command "${file}" was not found`, wayOut, {cause})
  }
  const wayOut = 'check its permissions and format, and the length of its arguments'
  return new LeashError('notExecutable', `command "${file}" cannot be executed: ${cause.code}`, wayOut, {
    cause,
  })
}
