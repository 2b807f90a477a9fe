import {rmSync} from 'node:fs'
import {KeptGuard, type KeptGuardPlan} from '../child/keptGuard.ts'
import {KeptProcess} from '../child/keptProcess.ts'
import {type ProcessIdentity, runningProcesses} from '../child/processIdentity.ts'
import {describeCause} from '../child/runMessage.ts'
import {type KeptEnd, superviseKept} from '../child/superviseKept.ts'
import type {Clock} from '../core/clock.ts'
import {LeashError} from '../core/errors.ts'
import type {HeldLock, Release} from '../core/heldLock.ts'
import {withLimit} from '../core/limit.ts'
import {outOfReach} from '../core/outOfReach.ts'
import type {LeaseStore} from '../core/ports.ts'
import type {LossCause} from '../core/session.ts'
import {takeOver} from '../core/takeOver.ts'
import type {Handle, HandleEnd} from './handle.ts'
import {createHandle, updateHandle} from './handleFile.ts'
import {holdOf} from './holdOfHandle.ts'
import type {KeepOrder, KeepPlan, KeeperLink} from './keeperProcess.ts'
import {type KeeperServer, serveKeeper, socketPath} from './keeperSocket.ts'

/** What a keeper needs from outside. */
export interface KeeperPorts {
  store: LeaseStore
  clock: Clock
  /** How a guard is started. */
  guard: Pick<KeptGuardPlan, 'script' | 'env'>
}

/**
 * What a keeper answers: how a release ended; `confirmed`; `unconfirmed` with a reason; or `lost` with one. A keeper that is
 * not there any more answers nothing.
 */
export type KeeperAnswer = Release | 'confirmed' | `unconfirmed ${string}` | `lost ${string}`

const outOfTime = Symbol('out of time')

/**
 * The life of a keeper: takes over a hold, and renews it until the process that it keeps has ended, somebody gives it back,
 * or it is lost and the process with its descendants is dead.
 */
export async function keep(plan: KeepPlan, link: KeeperLink, ports: KeeperPorts): Promise<void> {
  const guarding = startGuard(plan, ports)
  // Who cannot have a guard says so when there is something to keep.
  guarding.catch(() => {})
  const order = await link.order()
  if (order === undefined) return guarding.then(({guard}) => guard.dismiss()).catch(() => {})
  let keeper: Keeper
  try {
    keeper = await Keeper.start({...plan, ...order}, guarding, ports, link.abandoned)
  } catch (error) {
    return link.failed(asLeashError(error, ports.store))
  }
  await keeper.live(await link.keeping(keeper.path))
}

/** The guard, and which one of those that follow each other stands. */
interface Guarding {
  guard: KeptGuard
  standing: () => ProcessIdentity | undefined
  /** Tells of each one that stands from now on. */
  onStanding: (listener: (guard: ProcessIdentity) => void) => void
}

async function startGuard({kept, stopSignal}: KeepPlan, ports: KeeperPorts): Promise<Guarding> {
  let standing: ProcessIdentity | undefined
  let tell: (identity: ProcessIdentity) => void = () => {}
  const onStanding = (identity: ProcessIdentity): void => {
    standing = identity
    tell(identity)
  }
  const guard = await KeptGuard.start({...ports.guard, kept, stopSignal, onStanding}, ports.clock)
  return {guard, standing: () => standing, onStanding: (listener) => (tell = listener)}
}

class Keeper {
  readonly path: string
  readonly #order: KeepPlan & KeepOrder
  readonly #ports: KeeperPorts
  readonly #lock: HeldLock
  readonly #guard: KeptGuard
  readonly #released = new AbortController()
  #server: KeeperServer | undefined
  #handle: Handle
  #end: Promise<KeptEnd> | undefined
  #release: Promise<KeeperAnswer> | undefined

  private constructor(
    order: KeepPlan & KeepOrder,
    ports: KeeperPorts,
    {lock, guard, handle}: {lock: HeldLock; guard: KeptGuard; handle: Handle},
  ) {
    this.#order = order
    this.#ports = ports
    this.#lock = lock
    this.#guard = guard
    this.#handle = handle
    this.path = createHandle(order.directory, handle)
  }

  /** Takes over, and stands ready to be asked. Whatever fails leaves the hold to whom it was taken from. */
  static async start(
    order: KeepPlan & KeepOrder,
    guarding: Promise<Guarding>,
    ports: KeeperPorts,
    abandoned: AbortSignal,
  ): Promise<Keeper> {
    const {kept, limitMs} = order
    const {clock, store} = ports
    const self = {pid: process.pid, startTicks: runningProcesses.startOf(process.pid) ?? 0}
    let lock: HeldLock | undefined
    let keeper: Keeper | undefined
    try {
      const limit = {atMs: clock.elapsedMs() + limitMs, reason: outOfTime}
      lock = await withLimit(clock, limit, abandoned, (signal) =>
        takeOver(holdOf(order.handle, clock), {store, clock, tell: () => {}}, signal),
      )
      const {guard, ...guards} = await guarding
      await guard.arm(lock)
      const standing = guards.standing()
      if (guard.failed.aborted || standing === undefined) throw new Error('the guard has died')
      // Nobody has worked under the lock: it is not left to run out.
      if (runningProcesses.startOf(kept.pid) !== kept.startTicks) throw endedMeanwhile(kept)
      const handle = {...order.handle, keeper: {...self, guard: standing, keeps: kept}}
      const started = new Keeper(order, ports, {lock, guard, handle})
      keeper = started
      guards.onStanding((identity) => started.#note({keeper: {...handle.keeper, guard: identity}}))
      lock.onConfirmed(() => started.#noteConfirmation())
      started.#server = await serveKeeper(socketPath(started.path), (request) =>
        request === 'release' ? started.#giveBack() : started.#confirm(),
      )
      return started
    } catch (error) {
      lock?.leave()
      await guarding.then(({guard}) => guard.dismiss()).catch(() => {})
      if (keeper !== undefined) rmSync(keeper.path, {force: true})
      throw error
    }
  }

  /** @param wanted false if nobody has got to know the handle */
  async live(wanted: boolean): Promise<void> {
    const {clock} = this.#ports
    const {kept: root, stopSignal} = this.#order
    const lock = this.#lock
    const kept = new KeptProcess(root, clock)
    lock.childStarted()
    const onLost = (): void => this.#noteEnd({how: 'lost', reason: this.#whyLost()})
    if (lock.lost.aborted) onLost()
    else lock.lost.addEventListener('abort', onLost, {once: true})
    this.#end = superviseKept({
      clock,
      kept,
      guard: this.#guard,
      lock,
      stopSignal,
      released: this.#released.signal,
    })
    if (!wanted) await this.#giveBack()
    const end = await this.#end
    if (end.is === 'released') await this.#release
    if (end.is === 'ended') this.#noteEnd({how: 'left'})
    if (end.is === 'lost') this.#noteEnd({how: 'lost', reason: describeCause(end.cause)})
    lock.leave()
    await this.#guard.dismiss()
    await this.#server?.close()
    if (!wanted) rmSync(this.path, {force: true})
  }

  async #confirm(): Promise<KeeperAnswer> {
    const {clock, store} = this.#ports
    const limit = {atMs: clock.elapsedMs() + this.#order.limitMs, reason: outOfTime}
    try {
      await withLimit(clock, limit, undefined, (signal) => this.#lock.confirm(signal))
      return 'confirmed'
    } catch {
      return this.#lock.lost.aborted ? `lost ${this.#whyLost()}` : `unconfirmed ${store.lastFailure}`
    }
  }

  /** Gives the locks back, once: who asks again gets the same answer. */
  #giveBack(): Promise<KeeperAnswer> {
    this.#release ??= this.#endHold()
    return this.#release
  }

  async #endHold(): Promise<KeeperAnswer> {
    const lock = this.#lock
    // After a freeze the loss comes first.
    lock.look()
    const wasLost = lock.lost.aborted
    this.#released.abort()
    await this.#end
    const release = await lock.release(!wasLost)
    if (wasLost) return `lost ${this.#whyLost()}`
    if (release === 'gone') this.#noteEnd({how: 'lost', reason: describeCause({kind: 'ticketGone'})})
    else if (release !== 'failed') this.#noteEnd({how: 'released'})
    return release
  }

  #whyLost(): string {
    return describeCause(this.#lock.lost.reason as LossCause)
  }

  #noteConfirmation(): void {
    this.#note({sentAtBootMs: this.#ports.clock.bootMsAt(this.#lock.sentAtMs)})
  }

  #noteEnd(ended: HandleEnd): void {
    this.#note({ended: this.#handle.ended ?? ended})
  }

  #note(change: Partial<Handle>): void {
    this.#handle = {...this.#handle, ...change}
    try {
      updateHandle(this.path, this.#handle)
    } catch {
      // Somebody has removed it, or the disk is full: what is kept goes on being kept.
    }
  }
}

function endedMeanwhile({pid}: ProcessIdentity): LeashError {
  const message = `the process ${pid}, which was to be kept, has ended meanwhile`
  return new LeashError('usage', message, 'keep one that lives as long as its work')
}

function asLeashError(error: unknown, store: LeaseStore): LeashError {
  if (error instanceof LeashError) return error
  if (error === outOfTime) return outOfReach(store)
  const message = error instanceof Error ? error.message : describeCause(error as LossCause)
  return new LeashError('unavailable', `the keeper cannot take over: ${message}`, 'try again')
}
