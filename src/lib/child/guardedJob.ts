import type {ChildProcess} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import type {Clock} from '../core/clock.ts'
import {LeashError} from '../core/errors.ts'
import type {HeldLock} from '../core/heldLock.ts'
import type {LossCause} from '../core/session.ts'
import type {Cgroup} from './cgroup.ts'
import {type ContainmentChoice, makeCgroup, placeOfCgroup} from './chooseContainment.ts'
import type {Containment} from './containment.ts'
import {Guard, type GuardPlan, endingMs, guardTimeMs, markerPrefix} from './guard.ts'
import {encodeEnding} from './ending.ts'
import {ProcessTree} from './processTree.ts'
import {Interrupted} from './signalInbox.ts'
import {Stub, type StubCommand} from './stub.ts'

/** What is to run, and how it is kept on the leash. */
export interface JobPlan extends Omit<StubCommand, 'marker'> {
  guard: Pick<GuardPlan, 'script' | 'cleanEnd' | 'env'>
  containment: ContainmentChoice
}

/** What can come between a lock that is held and the start of its job. */
export type Obstacle = Interrupted | LossCause | LeashError

/**
 * A job that does not run yet: a process that will become it, contained, with a guard beside it. If leash dies at any
 * step, the process ends: it reads from leash, and so does the guard.
 */
export class GuardedJob {
  readonly containment: Containment
  readonly guard: Guard
  readonly #stub: Stub
  readonly #guarded: Promise<boolean>
  readonly #clock: Clock
  #isOver = false

  private constructor(
    stub: Stub,
    guard: Guard,
    guarded: Promise<boolean>,
    containment: Containment,
    clock: Clock,
  ) {
    this.#stub = stub
    this.#guarded = guarded
    this.guard = guard
    this.containment = containment
    this.#clock = clock
  }

  /**
   * Starts both.
   *
   * @throws LeashError `notExecutable` if that is not possible; nothing of it is left then
   */
  static async prepare(
    {guard: program, containment: choice, ...command}: JobPlan,
    clock: Clock,
  ): Promise<GuardedJob> {
    const id = randomBytes(8).toString('hex')
    const marker = `${markerPrefix}${id}`
    const place = placeOfCgroup(choice, id)
    // First of all: it removes the cgroup if leash dies before there is anything in it.
    const guard = await Guard.start({...program, marker, ...place})
    let cgroup: Cgroup | undefined
    let stub: Stub | undefined
    try {
      cgroup = makeCgroup(choice, place)
      stub = await Stub.start({...command, marker})
      const {pid} = stub
      const leads = !command.foreground
      const containment = cgroup ?? new ProcessTree({pid, leads, marker})
      if (leads) cgroup?.ledBy(pid)
      const guarded = guard.guard(pid, leads, cgroup !== undefined)
      return new GuardedJob(stub, guard, guarded, containment, clock)
    } catch (error) {
      // One with a process in it cannot be removed.
      if (stub === undefined) cgroup?.dispose()
      else stub.process.once('exit', () => cgroup?.dispose())
      stub?.dismiss()
      guard.dismiss()
      throw error
    }
  }

  /** The process that becomes the job. */
  get process(): ChildProcess {
    return this.#stub.process
  }

  /**
   * Arms the guard for this hold, and keeps it informed of each confirmed renewal. Resolves with undefined when it has
   * acknowledged both the job and the first deadline: then `go` may be called at once. Else with what came between:
   * `Interrupted`; a `LossCause`; LeashError `notExecutable` if the guard or the process that waits was killed, or the kernel
   * does not let that into its cgroup.
   */
  async arm(lock: HeldLock, interrupted: AbortSignal): Promise<Obstacle | undefined> {
    const watched = [interrupted, lock.lost, this.guard.died]
    let look = (): void => {}
    const obstacle = new Promise<Obstacle>((resolve) => {
      look = () => {
        if (interrupted.aborted) resolve(interrupted.reason as Interrupted)
        else if (lock.lost.aborted) resolve(lock.lost.reason as LossCause)
        else if (this.guard.died.aborted) resolve(endedBefore('the guard'))
        else if (hasEnded(this.process)) resolve(this.#stubEnd())
      }
    })
    for (const signal of watched) signal.addEventListener('abort', look)
    this.process.once('exit', look)
    look()
    const first = await Promise.race([this.#arm(lock), obstacle])
    for (const signal of watched) signal.removeEventListener('abort', look)
    this.process.off('exit', look)
    return first
  }

  /** The process becomes the command. */
  go(variables: Readonly<Record<string, string | undefined>>): void {
    this.#stub.go(variables)
  }

  /** Tells the guard when to end the tree: what the lock's last confirmed renewal says. */
  extend(lock: HeldLock): Promise<void> {
    return this.guard.until(guardTimeMs(this.#clock, lock.guardAtMs))
  }

  /** Has the guard end the tree, too, if it is not empty in a moment: leash may stop right here. */
  endSoon(lock: HeldLock): void {
    const soonMs = this.#clock.elapsedMs() + endingMs
    void this.guard.until(guardTimeMs(this.#clock, Math.min(soonMs, lock.guardAtMs)))
  }

  /** Whether the guard, which had to end the tree, saw it empty only after this moment. */
  endedAfter(atMs: number): boolean {
    const {endedAtBootMs} = this.guard
    return endedAtBootMs !== undefined && endedAtBootMs > guardTimeMs(this.#clock, atMs)
  }

  /** The tree was seen empty, or what is left of it is to go on: nothing is killed from now on. */
  treeEmpty(): void {
    if (!this.#isOver) this.guard.treeEmpty()
    this.#isOver = true
    // Again, if it did not succeed: what is to go on may have forked just then.
    this.containment.dispose()
  }

  /** Ends the process that has not become the job. */
  async discard(): Promise<void> {
    const {process: waiting} = this
    this.#stub.dismiss()
    if (!hasEnded(waiting)) await new Promise((resolve) => waiting.once('exit', resolve))
    this.treeEmpty()
  }

  async #arm(lock: HeldLock): Promise<LeashError | undefined> {
    if (!(await this.#guarded)) {
      return new LeashError('notExecutable', 'the job cannot be moved into its cgroup', 'see --contain group')
    }
    const {ending} = lock
    const ticket = ending === undefined ? undefined : encodeEnding(ending)
    await this.guard.until(guardTimeMs(this.#clock, lock.guardAtMs), ticket)
    lock.onConfirmed(() => void this.extend(lock))
    return undefined
  }

  /** Why the process ended before it was to become the job. */
  #stubEnd(): Obstacle {
    const {signalCode} = this.process
    // A terminal signals all of its foreground, and may be heard here first.
    if (signalCode !== null && signalCode !== 'SIGKILL') return new Interrupted(signalCode)
    return endedBefore('the process that was to become the job')
  }
}

/** Whether a child of ours has ended, and was reaped. */
export function hasEnded({exitCode, signalCode}: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

function endedBefore(who: string): LeashError {
  const wayOut = 'find out who killed it, and whether leash is installed whole'
  return new LeashError('notExecutable', `${who} ended before the job could start`, wayOut)
}
