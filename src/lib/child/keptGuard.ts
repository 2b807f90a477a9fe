import {randomBytes} from 'node:crypto'
import type {Clock} from '../core/clock.ts'
import {LeashError} from '../core/errors.ts'
import type {HeldLock} from '../core/heldLock.ts'
import {Guard, type GuardPlan, endingMs, guardTimeMs, markerPrefix} from './guard.ts'
import type {ProcessIdentity} from './processIdentity.ts'

/** What a guard is to end when the keeper cannot, and how. */
export interface KeptGuardPlan extends Pick<GuardPlan, 'script' | 'env'> {
  kept: ProcessIdentity
  /** The gentle signal. */
  stopSignal: NodeJS.Signals
  /** Told of each guard that stands: the latest is to be dismissed by who finds the keeper dead. */
  onStanding: (guard: ProcessIdentity) => void
}

/** A second guard that dies so soon after the first was not killed by mistake, or none can live here. */
const tooSoonMs = 1000

/**
 * The guard of a process that is kept. One that dies is followed by another: it takes a job's guard with it that somebody
 * kills it, but what is kept was not started by us, and is not ended for that.
 */
export class KeptGuard {
  readonly #plan: KeptGuardPlan
  readonly #clock: Clock
  readonly #failed = new AbortController()
  /** The one that stands, or is being started in place of one that has died; undefined if that failed. */
  #guard: Promise<Guard | undefined>
  #lock: HeldLock | undefined
  #replacedAtMs = -Infinity
  #isOver = false

  private constructor(plan: KeptGuardPlan, clock: Clock, guard: Guard) {
    this.#plan = plan
    this.#clock = clock
    this.#guard = Promise.resolve(guard)
    this.#watch(guard)
  }

  /**
   * Starts it. Nothing is ended as long as it is not armed.
   *
   * @throws LeashError `notExecutable` if none can be started
   */
  static async start(plan: KeptGuardPlan, clock: Clock): Promise<KeptGuard> {
    return new KeptGuard(plan, clock, await stand(plan))
  }

  /** Aborted when none stands any more: nobody would end what is kept if we died, too. */
  get failed(): AbortSignal {
    return this.#failed.signal
  }

  /**
   * From now on what is kept is ended at the lock's `guardAtMs`, which each confirmed renewal moves. Resolves when a guard has
   * acknowledged that, or none stands any more.
   */
  async arm(lock: HeldLock): Promise<void> {
    this.#lock = lock
    lock.onConfirmed(() => this.extend(lock))
    for (let guard = await this.#guard; guard !== undefined; guard = await this.#guard) {
      if (await comesFirst(guard.until(this.#timeMs(lock.guardAtMs)), guard.died)) return
    }
  }

  /**
   * Has it look who is there now: they are found though their parent has ended, at the moments that it is told from now on.
   * Resolves when it has looked, or is dead.
   */
  async see(): Promise<void> {
    const guard = await this.#guard
    if (guard !== undefined) await comesFirst(guard.see(), guard.died)
  }

  /** Tells it when to end what is kept: what the lock's latest confirmed renewal says. */
  extend(lock: HeldLock): void {
    this.#tell((guard) => void guard.until(this.#timeMs(lock.guardAtMs)))
  }

  /** Has it end what is kept, too, if that is not dead in a moment: we may stop right here. */
  endSoon(lock: HeldLock): void {
    const soonMs = this.#clock.elapsedMs() + endingMs
    this.#tell((guard) => void guard.until(this.#timeMs(Math.min(soonMs, lock.guardAtMs))))
  }

  /** From now on it ends nothing, whatever comes. */
  standDown(): void {
    this.#isOver = true
    this.#tell((guard) => guard.treeEmpty())
  }

  /** All is done. Resolves when none is left. */
  async dismiss(): Promise<void> {
    this.#isOver = true
    const guard = await this.#guard
    guard?.dismiss()
  }

  #watch(guard: Guard): void {
    const {identity} = guard
    if (identity !== undefined) this.#plan.onStanding(identity)
    if (guard.died.aborted) this.#replace()
    else guard.died.addEventListener('abort', () => this.#replace(), {once: true})
  }

  #replace(): void {
    if (this.#isOver) return
    const nowMs = this.#clock.elapsedMs()
    const isHopeless = nowMs - this.#replacedAtMs < tooSoonMs
    this.#replacedAtMs = nowMs
    this.#guard = isHopeless ? this.#fail() : this.#standAgain().catch(() => this.#fail())
  }

  async #standAgain(): Promise<Guard> {
    const guard = await stand(this.#plan)
    // Who hears of it can rely on it: until it is armed it ends nothing.
    if (this.#lock !== undefined)
      await comesFirst(guard.until(this.#timeMs(this.#lock.guardAtMs)), guard.died)
    this.#watch(guard)
    if (this.#isOver) guard.treeEmpty()
    return guard
  }

  #fail(): Promise<undefined> {
    this.#failed.abort()
    return Promise.resolve(undefined)
  }

  #tell(order: (guard: Guard) => void): void {
    void this.#guard.then((guard) => guard && order(guard))
  }

  #timeMs(atMs: number): number {
    return guardTimeMs(this.#clock, atMs)
  }
}

async function stand({script, env, kept, stopSignal}: KeptGuardPlan): Promise<Guard> {
  const marker = `${markerPrefix}${randomBytes(8).toString('hex')}`
  const guard = await Guard.start({script, env, marker, cleanEnd: []})
  if (await comesFirst(guard.keep(kept, stopSignal), guard.died)) return guard
  const message = 'the guard, without which no process is kept, ended at once'
  throw new LeashError(
    'notExecutable',
    message,
    'find out who killed it, and whether leash is installed whole',
  )
}

/** Whether the answer comes before the end. */
function comesFirst(answer: Promise<void>, died: AbortSignal): Promise<boolean> {
  const end = new Promise<false>((resolve) => {
    if (died.aborted) resolve(false)
    else died.addEventListener('abort', () => resolve(false), {once: true})
  })
  return Promise.race([answer.then(() => true), end])
}
