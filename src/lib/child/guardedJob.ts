import type {ChildProcess} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {platform} from 'node:os'
import type {Clock} from '../core/clock.ts'
import {LeashError} from '../core/errors.ts'
import type {HeldLock} from '../core/heldLock.ts'
import type {LossCause} from '../core/session.ts'
import {Cgroup} from './cgroup.ts'
import type {Containment, Tier} from './containment.ts'
import {Guard, type GuardPlan} from './guard.ts'
import {encodeEnding} from './ending.ts'
import {ProcessTree, tierWithoutCgroup} from './processTree.ts'
import {Interrupted} from './signalInbox.ts'
import {Stub, type StubCommand} from './stub.ts'

/** What is to run, and how it is kept on the leash. */
export interface JobPlan extends Omit<StubCommand, 'marker'> {
  guard: Pick<GuardPlan, 'script' | 'cleanEnd' | 'env'>
  /** The cgroup made for it, if there is to be one. */
  cgroup: Cgroup | undefined
}

/** What can come between a lock that is held and the start of its job. */
export type Obstacle = Interrupted | LossCause | LeashError

/** Names the variables that mark jobs, each job's its own, so that nested runs neither hide nor kill each other's. */
const markerPrefix = 'LEASH_RUN_'

/** Which containment the user wishes for: the best; a cgroup or nothing; the best without a cgroup. */
export const containmentWishes = ['auto', 'cgroup', 'group'] as const
export type ContainmentWish = (typeof containmentWishes)[number]

/**
 * Makes a cgroup for a job if there is to be one and can be.
 *
 * @throws LeashError `config` if it cannot be made and nothing else will do
 */
export function makeCgroup(wish: ContainmentWish, required: Tier): Cgroup | undefined {
  let fault = 'ruled out by --contain group'
  try {
    if (wish !== 'group') return Cgroup.make(`leash-${randomBytes(8).toString('hex')}`)
  } catch (error) {
    fault = (error as NodeJS.ErrnoException).code ?? String(error)
  }
  if (wish === 'cgroup' || required === 'cgroup') {
    throw new LeashError(
      'config',
      `no cgroup can be made for the job (${fault})`,
      'run as root or in a unit with Delegate=yes, or do without --require-containment and --contain cgroup',
    )
  }
  if (required === 'session' && tierWithoutCgroup !== 'session') {
    throw new LeashError(
      'config',
      'a job that leaves its process group cannot be found without /proc',
      'do without --require-containment',
    )
  }
  return undefined
}

/**
 * What a job would be contained by; nothing of it stays.
 *
 * @throws LeashError as `makeCgroup`
 */
export function probeContainment(wish: ContainmentWish, required: Tier): Tier {
  const cgroup = makeCgroup(wish, required)
  cgroup?.dispose()
  return cgroup?.tier ?? tierWithoutCgroup
}

/**
 * A job that does not run yet: a process that will become it, contained, with a guard beside it. If leash dies at any
 * step, the process ends: it reads from leash, and so does the guard.
 */
export class GuardedJob {
  readonly containment: Containment
  readonly guard: Guard
  readonly #stub: Stub
  readonly #clock: Clock

  private constructor(stub: Stub, guard: Guard, containment: Containment, clock: Clock) {
    this.#stub = stub
    this.guard = guard
    this.containment = containment
    this.#clock = clock
  }

  /**
   * Starts both.
   *
   * @throws LeashError `notExecutable` if that is not possible; the cgroup is gone then
   */
  static async prepare({guard, cgroup, ...command}: JobPlan, clock: Clock): Promise<GuardedJob> {
    const marker = `${markerPrefix}${randomBytes(8).toString('hex')}`
    let stub: Stub | undefined
    let started: Guard | undefined
    try {
      stub = await Stub.start({...command, marker})
      const {pid} = stub
      const leads = !command.foreground
      const taking = cgroup?.take(pid, leads)
      const containment = cgroup ?? new ProcessTree({pid, leads, marker})
      const env = Object.fromEntries(
        Object.entries(guard.env).filter(([name]) => !name.startsWith(markerPrefix)),
      )
      const plan = {...guard, env, job: pid, leads, marker, cgroup: cgroup?.directory}
      taking?.catch(() => {})
      started = await Guard.start(plan)
      await taking
      return new GuardedJob(stub, started, containment, clock)
    } catch (error) {
      started?.dismiss()
      stub?.dismiss()
      stub?.process.once('exit', () => cgroup?.dispose())
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
   * `Interrupted`; a `LossCause`; LeashError `notExecutable` if the guard or the process that waits was killed.
   */
  async arm(lock: HeldLock, interrupted: AbortSignal): Promise<Obstacle | undefined> {
    const over = new AbortController()
    const {signal} = over
    const obstacle = new Promise<Obstacle>((resolve) => {
      const watch = (source: AbortSignal, toObstacle: () => Obstacle): void => {
        if (source.aborted) resolve(toObstacle())
        else source.addEventListener('abort', () => resolve(toObstacle()), {signal})
      }
      watch(interrupted, () => interrupted.reason as Interrupted)
      watch(lock.lost, () => lock.lost.reason as LossCause)
      watch(this.guard.died, () => killedBefore('the guard'))
      const onExit = (): void => resolve(this.#stubEnd())
      if (hasEnded(this.process)) onExit()
      this.process.once('exit', onExit)
      signal.addEventListener('abort', () => this.process.off('exit', onExit))
    })
    const armed = this.#arm(lock).then(() => undefined)
    const first = await Promise.race([armed, obstacle])
    over.abort()
    return first
  }

  /** The process becomes the command. */
  go(variables: Readonly<Record<string, string>>): void {
    this.#stub.go(variables)
  }

  /** Tells the guard when to end the tree: what the lock's last confirmed renewal says. */
  extend(lock: HeldLock): Promise<void> {
    return this.guard.until(this.#guardTimeMs(lock.guardAtMs))
  }

  /** Has the guard end the tree now, too: leash may stop right here. */
  endNow(): void {
    void this.guard.until(0)
  }

  /** Whether the guard, which had to end the tree, saw it empty only after this moment. */
  endedAfter(atMs: number): boolean {
    const {endedAtBootMs} = this.guard
    return endedAtBootMs !== undefined && endedAtBootMs > this.#guardTimeMs(atMs)
  }

  /** The tree was seen empty, or what is left of it is to go on: nothing is killed from now on. */
  treeEmpty(): void {
    this.guard.treeEmpty()
    this.containment.dispose()
  }

  /** Ends the process that has not become the job. */
  async discard(): Promise<void> {
    const {process: waiting} = this
    this.#stub.dismiss()
    if (!hasEnded(waiting)) await new Promise((resolve) => waiting.once('exit', resolve))
    this.treeEmpty()
  }

  async #arm(lock: HeldLock): Promise<void> {
    await this.guard.ready
    const {ending} = lock
    if (ending !== undefined) this.guard.ticket(encodeEnding(ending))
    await this.extend(lock)
    lock.onConfirmed(() => void this.extend(lock))
  }

  /** The guard's clock: boot time, or where there is no /proc/uptime to read it from, the time since the epoch. */
  #guardTimeMs(atMs: number): number {
    const clock = this.#clock
    return platform() === 'linux' ? clock.bootMsAt(atMs) : clock.wallMs() + atMs - clock.elapsedMs()
  }

  /** Why the process ended before it was to become the job. */
  #stubEnd(): Obstacle {
    const {signalCode} = this.process
    // A terminal signals all of its foreground, and may be heard here first.
    if (signalCode !== null && signalCode !== 'SIGKILL') return new Interrupted(signalCode)
    return killedBefore('the process that was to become the job')
  }
}

/** Whether a child of ours has ended, and was reaped. */
export function hasEnded({exitCode, signalCode}: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

function killedBefore(who: string): LeashError {
  return new LeashError(
    'notExecutable',
    `${who} was killed before the job could start`,
    'find out who did it',
  )
}
