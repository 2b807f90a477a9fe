import type {Clock} from '../core/clock.ts'
import {type FencingToken, leaseHex} from '../core/identifiers.ts'
import {type LockPorts, type LockRequest, acquire} from '../core/lock.ts'
import type {HeldLock, Release} from '../core/heldLock.ts'
import type {LossCause} from '../core/session.ts'
import type {TicketAhead} from '../core/ticket.ts'
import {Interrupted, type SignalInbox} from './signalInbox.ts'
import {type TreeEnd, superviseChild} from './superviseChild.ts'
import type {ChildEnd} from './supervision.ts'

/** A command to run under a lock. */
export interface RunRequest {
  lock: LockRequest
  argv: readonly [string, ...string[]]
  /** The environment that leash itself was given. */
  env: NodeJS.ProcessEnv
  stopSignal: NodeJS.Signals
}

/** How a run ended. */
export type RunOutcome =
  | {outcome: 'contended'; ahead: TicketAhead; waitedMs: number}
  | {outcome: 'waitedOut'; waitedMs: number}
  /** A signal came before there was a child. */
  | {outcome: 'interrupted'; signal: NodeJS.Signals; waitedMs: number}
  /** The child ran to its end while we held the lock. */
  | ({outcome: 'ended'; child: ChildEnd; leftovers: boolean; release: Release} & Hold)
  /** The child was ended because the lease was lost. */
  | ({
      outcome: 'lost'
      child: ChildEnd
      cause: LossCause
      /** The tree was seen empty only after the entitlement had ended, as after a suspend: somebody else may have started. */
      late: boolean
    } & Hold)

/** The hold that a run had, for those who look at it afterwards. */
export interface Hold {
  fence: FencingToken
  key: string
  /** The lease id in hex. */
  lease: string
  waitedMs: number
  heldMs: number
}

/**
 * Takes the lock, runs the command while it lasts, sees its process group empty, and releases.
 *
 * @throws LeashError as `acquire`; `notFound` and `notExecutable` if the command cannot be started: the lock is given
 *   back before
 */
export async function runUnderLock(
  request: RunRequest,
  ports: LockPorts,
  signals: SignalInbox,
): Promise<RunOutcome> {
  const {clock} = ports
  const startedAtMs = clock.elapsedMs()
  const waitedMs = (): number => Math.round(clock.elapsedMs() - startedAtMs)
  try {
    const acquisition = await acquire(request.lock, ports, signals.interrupted)
    if (acquisition.is === 'contended')
      return {outcome: 'contended', ahead: acquisition.ahead, waitedMs: waitedMs()}
    if (acquisition.is === 'waitedOut') return {outcome: 'waitedOut', waitedMs: waitedMs()}
    return await runHolding(acquisition.lock, request, clock, signals, waitedMs())
  } catch (error) {
    if (error instanceof Interrupted)
      return {outcome: 'interrupted', signal: error.signal, waitedMs: waitedMs()}
    throw error
  }
}

async function runHolding(
  lock: HeldLock,
  {argv, env, stopSignal}: RunRequest,
  clock: Clock,
  signals: SignalInbox,
  waitedMs: number,
): Promise<RunOutcome> {
  const heldSinceMs = clock.elapsedMs()
  let tree: TreeEnd
  try {
    signals.interrupted.throwIfAborted()
    const command = {argv, env: childEnvironment(env, lock), stopSignal, graceMs: lock.graceMs}
    tree = await superviseChild(command, {
      clock,
      lost: lock.lost,
      gone: lock.gone,
      onStarted: (forward) => {
        signals.forwardTo(forward)
        lock.childStarted()
      },
    })
  } catch (error) {
    await lock.release(true)
    throw error
  }
  const hold = {...describe(lock), waitedMs, heldMs: Math.round(clock.elapsedMs() - heldSinceMs)}
  const late = tree.cause?.kind === 'unconfirmed' && clock.elapsedMs() > tree.cause.entitledUntilMs
  // A tree that was killed because of a loss has no clean end, also if the child had ended by itself before.
  const release = await lock.release(!lock.lost.aborted)
  if (tree.cause === undefined)
    return {outcome: 'ended', child: tree.child, leftovers: tree.leftovers, release, ...hold}
  return {outcome: 'lost', child: tree.child, cause: tree.cause, late, ...hold}
}

/** Ours win over inherited ones. `LEASH_LOCKS` of an outer run that holds several would speak of other locks than ours. */
function childEnvironment(env: NodeJS.ProcessEnv, lock: HeldLock): NodeJS.ProcessEnv {
  const {LEASH_LOCKS: _outer, ...inherited} = env
  const {fence, key, lease} = describe(lock)
  return {
    ...inherited,
    LEASH_LOCK: lock.name,
    LEASH_FENCE: fence.toString(),
    LEASH_LEASE: lease,
    LEASH_KEY: key,
  }
}

function describe({fence, ticket}: HeldLock): {fence: FencingToken; key: string; lease: string} {
  return {fence, key: ticket.key, lease: leaseHex(ticket.lease)}
}
