/** Guarded jobs: real processes, on a lock that exists in memory only. */
import {existsSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {Cgroup} from '../../../src/lib/child/cgroup.ts'
import type {ContainmentChoice} from '../../../src/lib/child/chooseContainment.ts'
import {GuardedJob} from '../../../src/lib/child/guardedJob.ts'
import {type TreeEnd, type TreeNews, superviseChild} from '../../../src/lib/child/superviseChild.ts'
import type {LeftoverPolicy} from '../../../src/lib/child/supervision.ts'
import {Clock, type TimeSource} from '../../../src/lib/core/clock.ts'
import type {HeldLock} from '../../../src/lib/core/heldLock.ts'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'
import {type LockRequest, acquire} from '../../../src/lib/core/lock.ts'
import {lockKeys} from '../../../src/lib/core/lockName.ts'
import {type Terms, timeline} from '../../../src/lib/core/timeline.ts'
import {FakeStore} from '../../support/fakeStore.ts'
import {commandOf, parentOf} from '../../support/processes.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {nowMs, until} from '../../support/wait.ts'
import {inheritance} from './inheritance.fixture.ts'

export const guardScript = path.resolve(import.meta.dirname, '../../../bin/guard.sh')
/** Says what it is told, and kills nobody. */
export const recordingGuard = path.join(import.meta.dirname, 'recordingGuard.sh')

export const guardProgram = {
  script: guardScript,
  cleanEnd: ['true'],
  env: {PATH: process.env['PATH'] ?? ''},
}
const soon = {withinMs: 10_000}
const nobody = new AbortController().signal

/** Time that really passes, on a machine whose wall clock can be set and that can be suspended. */
export class BentTime implements TimeSource {
  #suspendedMs = 0
  #steppedMs = 0

  monotonicMs(): number {
    return nowMs()
  }

  bootMs(): number {
    return nowMs() + this.#suspendedMs
  }

  wallMs(): number {
    return Date.now() + this.#suspendedMs + this.#steppedMs
  }

  schedule(delayMs: number, wake: () => void): () => void {
    const timer = setTimeout(wake, delayMs)
    return () => clearTimeout(timer)
  }

  suspend(ms: number): void {
    this.#suspendedMs += ms
  }

  stepWall(ms: number): void {
    this.#steppedMs += ms
  }
}

export const lockRequest = (ttlMs: number, terms: Terms): LockRequest => ({
  locks: [lockKeys('leash/', 'nightly')],
  ttlMs,
  terms,
  wait: {kind: 'none'},
  connectTimeoutMs: 10_000,
  holder: {host: 'h', user: 'u', pid: 1},
})

const ttlMs = 600_000
const line = timeline(ttlMs, {lockDelayMs: 0})
/** TERM, KILL, and the end of the entitlement after a confirmed renewal; and the time between two of these. */
const moments = {TERM: line.termAfterMs, KILL: line.killAfterMs, end: line.entitledMs}
export const {renewAfterMs} = line

export interface StageOptions {
  readonly wish?: ContainmentChoice['wish']
  /** Its guard only notes its orders. */
  readonly recording?: boolean
  /** It cannot be moved into its cgroup. */
  readonly refusing?: boolean
  readonly lockDelayMs?: number
  readonly foreground?: boolean
  /** More variables for the job. */
  readonly env?: Readonly<Record<string, string>>
  readonly ignoredSignals?: readonly number[]
}

/** A lock with a TTL of ten minutes that is held, in memory only. */
export const holdInMemory = async (clock: Clock, store: FakeStore, lockDelayMs = 0): Promise<HeldLock> => {
  const ports = {store, clock, newLeaseId: () => 1n as LeaseId, tell: () => {}, showQueue: false}
  const acquisition = await acquire(lockRequest(ttlMs, {lockDelayMs}), ports, nobody)
  if (acquisition.is !== 'held') throw new Error(acquisition.is)
  return acquisition.lock
}

/** The machine is suspended until just after a moment of the lock's timeline; nobody has noticed it yet. */
export const suspendTo = (
  moment: keyof typeof moments,
  {time, clock, lock}: {time: BentTime; clock: Clock; lock: HeldLock},
): void => {
  const sentAtMs = lock.entitledUntilMs - line.entitledMs
  time.suspend(sentAtMs + moments[moment] + 10 - clock.elapsedMs())
}

/** A lock with a TTL of ten minutes that is held, and a job for it that waits. `await using` ends all that is left. */
export class Stage implements AsyncDisposable {
  readonly time: BentTime
  readonly clock: Clock
  readonly store: FakeStore
  readonly lock: HeldLock
  readonly job: GuardedJob
  readonly #directory: string

  private constructor(
    time: BentTime,
    {
      clock,
      store,
      lock,
      job,
      directory,
    }: Pick<Stage, 'clock' | 'store' | 'lock' | 'job'> & {directory: string},
  ) {
    this.time = time
    this.clock = clock
    this.store = store
    this.lock = lock
    this.job = job
    this.#directory = directory
  }

  /** @param script for a shell, which says something by `note WORD`, and gets told something by `told WORD` */
  static async set(
    script: string,
    {
      wish = 'group',
      recording = false,
      refusing = false,
      lockDelayMs = 0,
      foreground = false,
      ...more
    }: StageOptions = {},
  ): Promise<Stage> {
    const time = new BentTime()
    const clock = new Clock(time)
    const store = new FakeStore(clock)
    const directory = scratchDirectory('stage')
    const lock = await holdInMemory(clock, store, lockDelayMs)
    const functions = [
      `exec 2>>'${directory}/stderr'`,
      `note() { echo "$1" >>'${directory}/notes'; }`,
      `told() { until [ -e '${directory}'/"$1" ]; do sleep 0.01; done; }`,
    ]
    const plan = {
      argv: ['sh', '-c', [...functions, script].join('\n')] as const,
      inheritance: {
        ...inheritance({...process.env, ...more.env}),
        ignoredSignals: more.ignoredSignals ?? [],
      },
      foreground,
      guard: {
        ...guardProgram,
        ...(recording && {script: recordingGuard}),
        env: {...guardProgram.env, DIRECTORY: directory},
      },
      containment: {wish, required: 'group' as const},
    }
    const job = await GuardedJob.prepare({...plan, argv: [...plan.argv]}, clock).catch(
      async (error: unknown) => {
        await lock.release(true)
        rmSync(directory, {recursive: true})
        throw error
      },
    )
    // It is the guard that moves it into a cgroup.
    if (!recording && !refusing)
      await until('the job to be contained', () => job.containment.isOccupied(), soon)
    return new Stage(time, {clock, store, lock, job, directory})
  }

  /** The word that the job said. */
  async says(pattern: RegExp): Promise<string> {
    return until(`the job to say ${pattern}`, () => pattern.exec(this.notes)?.[0], soon)
  }

  get notes(): string {
    return this.#read('notes')
  }

  /** What a guard that notes its orders was told. */
  get orders(): string[] {
    return this.#read('orders').split('\n').filter(Boolean)
  }

  /** Tells the job a word; a guard that notes its orders answers when told `answer`. */
  tell(word: string): void {
    writeFileSync(path.join(this.#directory, word), '')
  }

  /** The machine is suspended until just after a moment of the timeline; leash has not noticed it yet. */
  suspendTo(moment: keyof typeof moments): void {
    suspendTo(moment, this)
  }

  /** The same, and leash notices. */
  skipTo(moment: keyof typeof moments): void {
    this.suspendTo(moment)
    this.lock.look()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.job.containment.kill()
    await this.job.discard()
    this.job.guard.dismiss()
    await this.lock.release(true)
    rmSync(this.#directory, {recursive: true})
    const {containment} = this.job
    if (containment instanceof Cgroup && existsSync(containment.directory))
      throw new Error(`${containment.directory} was left`)
  }

  #read(name: string): string {
    const file = path.join(this.#directory, name)
    return existsSync(file) ? readFileSync(file, 'utf8') : ''
  }
}

/** The guard's process. */
export const guardOf = ({process: {pid: jobPid}}: GuardedJob): number => {
  const [marker = ''] = /LEASH_RUN_[0-9a-f]+/.exec(readFileSync(`/proc/${jobPid}/environ`, 'latin1')) ?? []
  const isGuard = (pid: number): boolean => parentOf(pid) === process.pid && commandOf(pid).includes(marker)
  const found = readdirSync('/proc')
    .map(Number)
    .find((pid) => pid > 0 && isGuard(pid))
  if (found === undefined) throw new Error('there is no guard')
  return found
}

/** What is under way on a stage. */
export interface Run {
  readonly end: Promise<TreeEnd>
  readonly news: TreeNews['kind'][]
  forward(signal: NodeJS.Signals): void
}

/** Lets the job run, under supervision. */
export const supervise = ({clock, lock, job}: Stage, leftovers: LeftoverPolicy = 'kill'): Run => {
  const news: TreeNews['kind'][] = []
  let forward: Run['forward'] = () => {}
  const tell = ({kind}: TreeNews): number => news.push(kind)
  const parts = {clock, lock, tell, onStarted: (given: typeof forward) => (forward = given)}
  const end = superviseChild(job, {GIVEN: 'given'}, {stopSignal: 'SIGTERM', leftovers}, parts)
  return {end, news, forward: (signal) => forward(signal)}
}
