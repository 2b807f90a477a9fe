import {leaseHex} from '../core/identifiers.ts'
import {type Acquisition, type LockPorts, type LockRequest, acquire} from '../core/lock.ts'
import type {HeldLock, Place, Release} from '../core/heldLock.ts'
import type {TicketAhead} from '../core/ticket.ts'
import {probeContainment} from './chooseContainment.ts'
import type {Tier} from './containment.ts'
import {GuardedJob, type JobPlan} from './guardedJob.ts'
import {type LockDescription, describeLock, lockVariables} from './lockVariables.ts'
import {treeMessage} from './runMessage.ts'
import type {ServiceManager} from './serviceManager.ts'
import {Interrupted, type SignalInbox} from './signalInbox.ts'
import {type Ending, superviseChild} from './superviseChild.ts'
import type {ChildEnd, EndCause} from './supervision.ts'

/** A command to run under a lock. */
export interface RunRequest {
  lock: LockRequest
  job: JobPlan
  ending: Ending
}

/** What a run needs from outside. */
export interface RunPorts extends LockPorts {
  /** Tells people what they should know although the work goes on. */
  warn: (text: string) => void
  /** Who wants to be told that the lock is held and that renewals are confirmed, if anybody does. */
  service?: ServiceManager | undefined
}

/** How a run ended. */
export type RunOutcome =
  /** Of several locks, the one of this name. */
  | {outcome: 'contended'; ahead: TicketAhead; name?: string; waitedMs: number}
  | {outcome: 'waitedOut'; waitedMs: number}
  /** A signal came before there was a child. */
  | {outcome: 'interrupted'; signal: NodeJS.Signals; waitedMs: number}
  /** The child ran to its end while we held the lock. */
  | ({outcome: 'ended'; child: ChildEnd; release: Release} & Hold & HowItEnded)
  /** The child was ended because the lease was lost, or its guard; without a child: before it was started. */
  | ({outcome: 'lost'; child?: ChildEnd; cause: EndCause} & Hold & HowItEnded)

/** The hold that a run had, for those who look at it afterwards. */
export interface Hold {
  locks: readonly [LockDescription, ...LockDescription[]]
  /** The lease id in hex. */
  lease: string
  waitedMs: number
  heldMs: number
  containment: Tier
}

/** What became of a run's tree. */
interface HowItEnded {
  /** The child left processes behind; the user has chosen what became of them. */
  leftovers: boolean
  /** The tree was still alive when the entitlement had ended, as after a suspend: somebody else may have started. */
  possibleOverlap: boolean
}

/**
 * Takes the lock, runs the command while it lasts, sees its tree empty, and releases.
 *
 * @throws LeashError as `acquire`; `config` if the job cannot be contained as required; `notExecutable` if it cannot be
 *   started: the lock is given back before
 */
export async function runUnderLock(
  request: RunRequest,
  ports: RunPorts,
  signals: SignalInbox,
): Promise<RunOutcome> {
  const {clock} = ports
  const startedAtMs = clock.elapsedMs()
  const waitedMs = (): number => Math.round(clock.elapsedMs() - startedAtMs)
  const {wish, required} = request.job.containment
  // What may be refused is refused before anything is touched.
  if (wish === 'cgroup' || required !== 'group') probeContainment(request.job.containment)
  // Before etcd is asked: what they have to do until they are ready lasts as long as its answers.
  const preparing = GuardedJob.prepare(request.job, clock)
  preparing.catch(() => {})
  const acquiring = acquire(request.lock, ports, signals.interrupted)
  try {
    const acquisition = await acquiring
    if (acquisition.is !== 'held') return notAcquired(acquisition, request.lock, waitedMs())
    return await runHolding(acquisition.lock, preparing, request, ports, signals, waitedMs())
  } catch (error) {
    if (error instanceof Interrupted)
      return {outcome: 'interrupted', signal: error.signal, waitedMs: waitedMs()}
    throw error
  } finally {
    const job = await preparing.catch(() => undefined)
    await job?.discard()
    job?.guard.dismiss()
  }
}

/** The outcome of who did not get the locks, and was not to wait any longer. */
export function notAcquired(
  acquisition: Exclude<Acquisition, {is: 'held'}>,
  {locks}: LockRequest,
  waitedMs: number,
): RunOutcome & {outcome: 'contended' | 'waitedOut'} {
  if (acquisition.is === 'waitedOut') return {outcome: 'waitedOut', waitedMs}
  const {ahead, name} = acquisition
  return {outcome: 'contended', ahead, ...(locks.length > 1 && {name}), waitedMs}
}

async function runHolding(
  lock: HeldLock,
  preparing: Promise<GuardedJob>,
  {lock: {proposal}, job: {foreground}, ending}: RunRequest,
  {clock, warn, service}: RunPorts,
  signals: SignalInbox,
  waitedMs: number,
): Promise<RunOutcome> {
  const heldSinceMs = clock.elapsedMs()
  const job = await preparing.catch(async (error: unknown) => {
    await lock.release(true)
    throw error
  })
  const hold = (): Hold => ({
    locks: describeLocks(lock),
    lease: leaseHex(lock.lease),
    waitedMs,
    heldMs: Math.round(clock.elapsedMs() - heldSinceMs),
    containment: job.containment.tier,
  })
  const obstacle =
    (await job.arm(lock, signals.interrupted)) ?? (signals.interrupted.reason as Interrupted | undefined)
  if (obstacle !== undefined) {
    await job.discard()
    await lock.release(!lock.lost.aborted)
    if (obstacle instanceof Error) throw obstacle
    return {outcome: 'lost', cause: obstacle, leftovers: false, possibleOverlap: false, ...hold()}
  }
  const tree = await superviseChild(
    job,
    lockVariables(describeLocks(lock), lock.lease, proposal ? 'election' : 'lock'),
    ending,
    {
      clock,
      lock,
      tell: (news) => warn(treeMessage(news)),
      onStarted: (forward) => {
        signals.forwardTo(foreground ? exceptTerminals(forward) : forward)
        lock.childStarted()
        service?.ready(proposal ? `won the election ${lock.name}` : `acquired the lock ${lock.name}`)
        lock.onConfirmed(() => service?.confirmed())
      },
    },
  )
  const {child, cause, leftovers} = tree
  const ended = {leftovers, ...hold()}
  const {entitledUntilMs} = lock
  // A tree that was killed because of a loss has no clean end, also if the child had ended by itself before.
  const release = await lock.release(!lock.lost.aborted)
  const possibleOverlap = tree.overlapSeen || job.endedAfter(entitledUntilMs)
  if (cause === undefined) return {outcome: 'ended', child, release, possibleOverlap, ...ended}
  return {outcome: 'lost', child, cause, possibleOverlap, ...ended}
}

/** Signals that a terminal sends to all of its foreground: a job that is in it has got them already. */
function exceptTerminals(forward: (signal: NodeJS.Signals) => void): (signal: NodeJS.Signals) => void {
  return (signal) => {
    if (signal !== 'SIGINT' && signal !== 'SIGQUIT') forward(signal)
  }
}

function describeLocks({places: [first, ...others]}: HeldLock): Hold['locks'] {
  const describe = ({keys, ticket}: Place): LockDescription => describeLock(keys.name, ticket)
  return [describe(first), ...others.map(describe)]
}
