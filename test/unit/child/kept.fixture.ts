/** Kept processes: real processes and guards, on a lock that exists in memory only. */
import {existsSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {KeptGuard} from '../../../src/lib/child/keptGuard.ts'
import {KeptProcess} from '../../../src/lib/child/keptProcess.ts'
import {type ProcessIdentity, identifyKept} from '../../../src/lib/child/processIdentity.ts'
import {ProcessTree} from '../../../src/lib/child/processTree.ts'
import {type KeptEnd, superviseKept} from '../../../src/lib/child/superviseKept.ts'
import {Clock} from '../../../src/lib/core/clock.ts'
import type {HeldLock} from '../../../src/lib/core/heldLock.ts'
import {FakeStore} from '../../support/fakeStore.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {Contained} from './Contained.ts'
import {BentTime, guardProgram, holdInMemory, recordingGuard, suspendTo} from './job.fixture.ts'

/** A process, its guard, and a lock with a TTL of ten minutes that is held for it. `await using` ends all that is left. */
export class KeptStage implements AsyncDisposable {
  readonly time: BentTime
  readonly clock: Clock
  readonly store: FakeStore
  readonly lock: HeldLock
  readonly job: Contained
  readonly kept: KeptProcess
  readonly guard: KeptGuard
  /** The guards that stood, one after the other; and what all had been told by then. */
  readonly guards: readonly (ProcessIdentity & {orders: readonly string[]})[]
  readonly #directory: string
  readonly #released = new AbortController()

  private constructor(
    parts: Pick<KeptStage, 'time' | 'clock' | 'store' | 'lock' | 'job' | 'kept' | 'guard' | 'guards'>,
    directory: string,
  ) {
    this.time = parts.time
    this.clock = parts.clock
    this.store = parts.store
    this.lock = parts.lock
    this.job = parts.job
    this.kept = parts.kept
    this.guard = parts.guard
    this.guards = parts.guards
    this.#directory = directory
  }

  /**
   * Resolves when the script has said that it runs, and its guard is armed.
   *
   * @param script for a shell; what it says on its stdout is heard
   */
  static async set(script: string): Promise<KeptStage> {
    const time = new BentTime()
    const clock = new Clock(time)
    const store = new FakeStore(clock)
    const directory = scratchDirectory('kept')
    writeFileSync(path.join(directory, 'answer'), '')
    const lock = await holdInMemory(clock, store)
    const job = await Contained.start(
      (root) => Promise.resolve(new ProcessTree(root)),
      true,
      'sh',
      '-c',
      script,
    )
    await job.says(/runs/)
    const identity = identifyKept(String(job.pid))
    const guards: (ProcessIdentity & {orders: readonly string[]})[] = []
    const plan = {
      // Time that passes for the lock alone would let another guard end what we are to end.
      script: recordingGuard,
      env: {...guardProgram.env, DIRECTORY: directory},
      kept: identity,
      stopSignal: 'SIGTERM',
      onStanding: (standing: ProcessIdentity) => guards.push({...standing, orders: ordersIn(directory)}),
    } as const
    const guard = await KeptGuard.start(plan, clock)
    await guard.arm(lock)
    const kept = new KeptProcess(identity, clock)
    return new KeptStage({time, clock, store, lock, job, kept, guard, guards}, directory)
  }

  /** Keeps the process, under supervision. */
  keep(): Promise<KeptEnd> {
    const {clock, kept, guard, lock} = this
    return superviseKept({clock, kept, guard, lock, stopSignal: 'SIGTERM', released: this.#released.signal})
  }

  /** The lock is given back. */
  release(): void {
    this.#released.abort()
  }

  /** The machine is suspended until just after a moment of the timeline, and the keeper notices. */
  skipTo(moment: 'TERM' | 'KILL'): void {
    suspendTo(moment, this)
    this.lock.look()
  }

  /** From now on no guard answers; or all of them do, also to what they were told meanwhile. */
  muteGuards(mute = true): void {
    const answer = path.join(this.#directory, 'answer')
    if (mute) rmSync(answer)
    else writeFileSync(answer, '')
  }

  /** What its guards were told. */
  get orders(): string[] {
    return ordersIn(this.#directory)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kept.close()
    await this.guard.dismiss()
    await this.job[Symbol.asyncDispose]()
    await this.lock.release(true)
    rmSync(this.#directory, {recursive: true})
  }
}

const ordersIn = (directory: string): string[] => {
  const file = path.join(directory, 'orders')
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
}
