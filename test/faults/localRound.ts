import {readdirSync, renameSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import type {Leash} from '../cli/support/leash.ts'
import {LocalMachine} from '../cli/support/LocalMachine.ts'
import {Belongings} from '../support/Belongings.ts'
import {Enclosure} from '../support/cgroups.ts'
import {EtcdApi} from '../support/EtcdApi.ts'
import {keysUnder, leases} from '../support/etcdGateway.ts'
import {Job, type JobOptions, leash} from '../support/Job.ts'
import {Oracle} from '../support/oracle.ts'
import {isAlive, isStopped, type Found} from '../support/processes.ts'
import {nowMs, pause, until} from '../support/wait.ts'
import type {Character} from './characters.ts'
import {Story} from './story.ts'

const lock = 'job'

/** On a machine with nothing to do it takes a third of a second. */
const engineStartMs = 10_000

/** Of a process that cannot write so much, in blocks of 512 or 1024 bytes, no engine can come: its first file is longer. */
const tooFewBlocks = 256

/** What leash runs through, and every engine that it starts. */
const withoutRoom = ['sh', '-c', `ulimit -f ${tooFewBlocks} && exec "$@"`, 'sh']

interface Place {
  readonly ttlMs: number
  /** Among all rounds of its fault: chooses the variant of the fault. */
  readonly index: number
  readonly character: Character
}

/** One holder and one waiter with `--local`, on a machine of their own, on which leash itself starts the engines. */
export class LocalRound implements AsyncDisposable {
  readonly ttlMs: number
  readonly index: number
  readonly character: Character
  readonly machine: LocalMachine
  readonly oracle: Oracle
  /** For what is to be ended together. */
  readonly unit: Enclosure
  /** Set when the fault has first taken an engine away: what it had not confirmed by then it never did. */
  silentSinceMs: number | undefined
  /** Set when the fault kills the holder's leash: just before. */
  killedAtMs: number | undefined
  readonly #belongings: Belongings
  readonly #story = new Story()
  readonly #jobs: Job[] = []
  #killing: Promise<unknown> = Promise.resolve()
  /** In front of leash. */
  #through: readonly string[] = []

  private constructor({ttlMs, index, character}: Place, belongings: Belongings, oracle: Oracle) {
    this.ttlMs = ttlMs
    this.index = index
    this.character = character
    this.#belongings = belongings
    this.oracle = oracle
    this.machine = belongings.add(new LocalMachine())
    this.unit = belongings.add(new Enclosure())
  }

  static async set(place: Place): Promise<LocalRound> {
    const belongings = new Belongings()
    return new LocalRound(place, belongings, belongings.add(await Oracle.create()))
  }

  /** Starts the holder, and when its job runs, the waiter. Resolves when the waiter stands in the queue. */
  async begin(): Promise<void> {
    const holder = this.start('holder', {modes: this.character.modes})
    await holder.running(this.ttlMs + engineStartMs)
    const waiter = this.start('waiter')
    const isQueued = (): Promise<boolean> =>
      this.tickets().then(
        ({length}) => length === 2,
        // There is none at this moment.
        () => false,
      )
    await until('the waiter to queue', isQueued, {withinMs: 10_000, detail: () => waiter.describe()})
    await this.#killing
  }

  /** Starts a leash of this round, for its one lock. */
  start(name: string, options: Partial<JobOptions> = {}): Job {
    const job = Job.start({
      ...{name, lock, ttl: `${this.ttlMs}ms`, oracle: this.oracle, endpoints: 'local', ...options},
      program: [...this.#through, ...this.machine.machine.through, ...leash()],
      flags: ['--contain', this.character.contain],
    })
    this.#jobs.push(job)
    return this.#belongings.add(job)
  }

  get holder(): Job {
    return this.#job('holder')
  }

  get waiter(): Job {
    return this.#job('waiter')
  }

  /** From now on no engine that a leash of this round starts can write its store. */
  takeRoom(): void {
    this.#through = withoutRoom
  }

  /** Somebody with room takes a lock beside, and gives it back. */
  async useLock(name: string): Promise<void> {
    const {status, stderr} = await this.machine.run(['run', '--local', '-l', name, 'true'])
    if (status !== 0) throw new Error(`a lock beside ended with ${status}: ${stderr}`)
  }

  /** `leash serve`, when it has taken over from the engine that is there. */
  async serve(): Promise<Leash> {
    const serving = this.add(this.machine.start(['serve']))
    await serving.says(/^serves/m)
    this.note('leash serve: serves')
    return serving
  }

  /** A way to the engine that there is, which is open already. */
  async connect(): Promise<EtcdApi> {
    const api = new EtcdApi(await this.#url())
    await api.call('Maintenance.Status', {})
    return api
  }

  /** The tickets of the lock, by creation. */
  async tickets(): Promise<string[]> {
    const keys = await keysUnder(await this.#url(), `leash/lock/${lock}/`)
    return keys.map(({key}) => key)
  }

  /** The keys and leases that the engine has; nothing without one. */
  async stored(): Promise<string[]> {
    if (this.machine.engines().length === 0) return []
    const url = await this.#url()
    const held = (await leases(url)).map((lease) => `lease ${lease}`)
    return [...(await keysUnder(url, '')).map(({key}) => key), ...held]
  }

  /** Given back with the round. */
  add<T extends AsyncDisposable>(thing: T): T {
    return this.#belongings.add(thing)
  }

  /** Resolves when there is another engine than this one. */
  async another(engine: number): Promise<void> {
    await this.machine.engine([engine])
    this.note('engine: another one')
  }

  /** Kills all engines that there are, and says of how many. */
  async killEngine(): Promise<number> {
    const {length} = this.machine.engines()
    await this.machine.killEngine()
    if (length > 0) this.#noteSilence('engine: killed')
    return length
  }

  /** The same after so long, while the round begins. */
  killEngineIn(ms: number): void {
    this.#killing = pause(ms).then(() => this.killEngine())
    // Whoever waits for the beginning hears of it.
    this.#killing.catch(() => undefined)
  }

  /** Kills whichever engine there is, again and again until `isOver`, and says how many there were. */
  async killEngines(isOver: () => boolean): Promise<number> {
    let killed = 0
    const look = async (): Promise<boolean> => {
      killed += await this.killEngine()
      return isOver()
    }
    await until('the kills to be over', look, {withinMs: 2 * this.ttlMs + 5000, everyMs: 20})
    return killed
  }

  /** Stops the engine. Resolves with what continues it, if it is there by then. */
  async freezeEngine(): Promise<() => void> {
    const pid = await this.machine.engine()
    process.kill(pid, 'SIGSTOP')
    await until('the engine to stop', () => isStopped(pid), {withinMs: 2000, everyMs: 1})
    this.#noteSilence('engine: frozen')
    return () => {
      this.note('engine: thawed')
      process.kill(pid, 'SIGCONT')
    }
  }

  /** Removes the engine's directory with all that is in it. */
  async removeDirectory(): Promise<void> {
    rmSync(await this.#directory(), {recursive: true})
    this.#noteSilence('directory: removed')
  }

  /** Puts a file in the place of the engine's directory. Resolves with what puts it back. */
  async replaceDirectory(): Promise<() => void> {
    const directory = await this.#directory()
    const aside = path.join(this.machine.machine.root, 'aside')
    renameSync(directory, aside)
    writeFileSync(directory, '')
    this.note('directory: replaced')
    return () => {
      rmSync(directory)
      renameSync(aside, directory)
      this.note('directory: back')
    }
  }

  /**
   * What stands in the directories of the engine; a store is not told from another. Without the turn to start one: whoever ends
   * in it leaves it behind, and the next one takes it away.
   */
  files(): string[] {
    const files = readdirSync(this.machine.state).flatMap((directory) =>
      readdirSync(path.join(this.machine.state, directory)).map((file) => file.replace(/\.\d+$/, '')),
    )
    return files.filter((file) => file !== 'starting')
  }

  /** Kills the holder's leash and notes the moment. */
  killHolder(kill = (holder: Job): void => holder.kill('SIGKILL')): void {
    this.killedAtMs = nowMs()
    kill(this.holder)
    this.note('holder: leash killed', this.killedAtMs)
  }

  /** Where something has gone wrong: a job that nobody has told to end is not left behind by leash. */
  tellRunningToExit(): void {
    for (const job of this.#jobs) if (job.hasStarted && job.emptyAtMs === undefined) job.tellToExit(0)
  }

  /** All live processes of all jobs, but for the engines that they have started. */
  processes(): Found[] {
    const engines = this.machine.engines()
    return this.#jobs.flatMap((job) => job.processes()).filter(({pid}) => !engines.includes(pid))
  }

  cgroups(): string[] {
    return this.#jobs.flatMap((job) => job.cgroups())
  }

  /** Tells all engines to end. Resolves when they have. */
  async endEngines(): Promise<void> {
    for (const pid of this.machine.engines()) {
      process.kill(pid, 'SIGTERM')
      await until('the engine to end when it is told to', () => !isAlive(pid), {withinMs: 5000})
    }
  }

  #noteSilence(text: string): void {
    this.note(text)
    this.silentSinceMs ??= nowMs()
  }

  note(text: string, atMs = nowMs()): void {
    this.#story.note(text, atMs)
  }

  story(): string {
    return this.#story.tell(this.oracle, this.#jobs)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#belongings[Symbol.asyncDispose]()
  }

  async #directory(): Promise<string> {
    return path.dirname(await this.machine.socket())
  }

  async #url(): Promise<string> {
    return `unix:${await this.machine.socket()}`
  }

  #job(name: string): Job {
    const job = this.#jobs.find((one) => one.name === name)
    if (!job) throw new Error(`no ${name} was started`)
    return job
  }
}
