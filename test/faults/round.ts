import {rmSync} from 'node:fs'
import {Belongings} from '../support/Belongings.ts'
import type {KeyEvent} from '../support/etcdGateway.ts'
import type {Cut} from '../support/GrpcProxy.ts'
import {Job, type JobOptions} from '../support/Job.ts'
import {Oracle, type Running} from '../support/oracle.ts'
import type {Found} from '../support/processes.ts'
import {nowMs} from '../support/wait.ts'
import type {Character} from './characters.ts'
import {handleFiles} from './keptScript.ts'
import {Link, rootPrefix, type Stage} from './stage.ts'
import {Story} from './story.ts'
import type {Tool} from './tools.ts'

/** What the holder's job ends with when it is told to end by itself: no status of leash's own. */
export const ownStatus = 5

interface Place {
  readonly stage: Stage
  readonly ttlMs: number
  /** Among all rounds of its fault: chooses the variant of the fault. */
  readonly index: number
  readonly character: Character
  readonly tool: Tool
}

/** One holder and one waiter of ours, queued on the same lock below a prefix of their own. */
export class Round implements AsyncDisposable {
  readonly stage: Stage
  readonly ttlMs: number
  readonly index: number
  readonly character: Character
  readonly tool: Tool
  readonly prefix: string
  readonly oracle: Oracle
  readonly holderLink: Link
  readonly waiterLink: Link
  /** Answers that must have been lost by the end of the round. */
  readonly cuts: Cut[] = []
  /** What the fault needs of the holder. */
  holderOptions: Pick<JobOptions, 'env' | 'flags'> = {}
  /** Set when the fault itself ends the holder's lease or ticket: just before. */
  deletedByUsAtMs: number | undefined
  /** Set when the fault kills the holder's leash: just before. */
  killedAtMs: number | undefined
  /** What a fault killed in the queue. */
  readonly killedWaiters: Job[] = []
  readonly #belongings: Belongings
  readonly #story = new Story()
  readonly #jobs: Job[] = []
  #faultOverAtMs = 0
  #holder: {readonly job: Job; readonly ticket: Running} | undefined
  #waiter: {readonly job: Job; readonly ticket: KeyEvent} | undefined

  private constructor(place: Place, belongings: Belongings, oracle: Oracle, links: readonly [Link, Link]) {
    this.stage = place.stage
    this.ttlMs = place.ttlMs
    this.index = place.index
    this.character = place.character
    this.prefix = `${rootPrefix}${place.index}/`
    this.#belongings = belongings
    this.tool = place.tool
    this.oracle = oracle
    ;[this.holderLink, this.waiterLink] = links
  }

  static async set(place: Place): Promise<Round> {
    const belongings = new Belongings()
    const oracle = belongings.add(await Oracle.create())
    const links = [
      belongings.add(await Link.to(place.stage)),
      belongings.add(await Link.to(place.stage)),
    ] as const
    return new Round(place, belongings, oracle, links)
  }

  /** Starts the holder, and when its job runs, the waiter. Resolves when the waiter stands in the queue. */
  async begin(): Promise<void> {
    const holder = this.start('holder', this.holderLink, {...this.holderOptions, modes: this.character.modes})
    this.#holder = {job: holder, ticket: await holder.running(this.ttlMs + 10_000)}
    await this.enqueue('waiter')
  }

  /** Starts a leash of this round, for its one lock. */
  start(name: string, link: Link, {flags = [], ...more}: Partial<JobOptions> = {}): Job {
    const {program, flagsOf} = this.tool
    const ofMode = flagsOf?.(name === 'holder' ? name : 'waiter', this.index) ?? []
    const job = Job.start({
      ...{name, lock: 'job', prefix: this.prefix, ttl: `${this.ttlMs}ms`, ...(program && {program}), ...more},
      flags: ['--contain', this.character.contain, ...ofMode, ...flags],
      oracle: this.oracle,
      endpoints: link.endpoints,
    })
    this.#jobs.push(job)
    return this.#belongings.add(job)
  }

  /** Starts a waiter, the only one from now on. Resolves when it stands in the queue. */
  async enqueue(name: string): Promise<void> {
    const job = this.start(name, this.waiterLink)
    this.#waiter = {job, ticket: await this.nextTicket(job)}
  }

  /** The ticket that the waiter puts next. */
  nextTicket(waiter = this.waiter): Promise<KeyEvent> {
    const known = new Set(this.stage.tickets.events.filter(({type}) => type === 'PUT').map(({key}) => key))
    const isNew = ({key}: KeyEvent) => key.startsWith(`${this.prefix}${this.tool.queue}/`) && !known.has(key)
    return this.stage.tickets.created(isNew, this.ttlMs + 10_000).catch((error: unknown) => {
      throw new Error(`no ticket of the waiter\n${waiter.describe()}`, {cause: error})
    })
  }

  get holder(): Job {
    return this.#begun(this.#holder).job
  }

  get waiter(): Job {
    return this.#begun(this.#waiter).job
  }

  /** The holder's. */
  get ticket(): Running {
    return this.#begun(this.#holder).ticket
  }

  /** The same, for a fault that is about to end it: notes the moment. */
  strikeTicket(): Running {
    this.deletedByUsAtMs = nowMs()
    return this.ticket
  }

  /** Kills the holder's leash, or its whole process group, and notes the moment. */
  killHolder(whom: 'leash' | 'group' = 'leash'): void {
    const {holder} = this
    this.killedAtMs = nowMs()
    if (whom === 'group') holder.killGroup('SIGKILL')
    else holder.kill('SIGKILL')
    this.note('holder: leash killed', this.killedAtMs)
  }

  /** Kills the waiter's leash, or a part of it, and another one queues behind. */
  async killWaiter(kill = (waiter: Job): void => waiter.kill('SIGKILL')): Promise<void> {
    const {waiter} = this
    this.killedWaiters.push(waiter)
    this.note('waiter: leash killed')
    kill(waiter)
    await this.enqueue(`successor ${this.killedWaiters.length}`)
  }

  /** The cgroups that its leashes have made and not removed yet. */
  cgroups(): string[] {
    return this.#jobs.flatMap((job) => job.cgroups())
  }

  /** Where a course has broken off: a job that nobody has told to end is not left behind by leash. */
  tellRunningToExit(): void {
    for (const job of this.#jobs) if (job.hasStarted && job.emptyAtMs === undefined) job.tellToExit(0)
  }

  /** All live processes of all jobs. */
  processes(): Found[] {
    return this.#jobs.flatMap((job) => job.processes())
  }

  /** The waiter's first. */
  get waiterTicket(): KeyEvent {
    return this.#begun(this.#waiter).ticket
  }

  /** Something worth telling, at this moment or another. */
  note(text: string, atMs = nowMs()): void {
    this.#story.note(text, atMs)
  }

  noteFaultOver(): void {
    this.#faultOverAtMs = nowMs()
    this.note('fault over')
  }

  get faultOverAtMs(): number {
    return this.#faultOverAtMs
  }

  /** What happened when, for the reader of a failure. */
  story(): string {
    const changes = this.stage.tickets.events
      .filter(({key}) => key.startsWith(this.prefix))
      .map(({atMs, type, key}) => ({atMs, text: `etcd: ${type} ${key}`}))
    return this.#story.tell(this.oracle, this.#jobs, changes)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const handles = this.#jobs.flatMap((job) => handleFiles(job))
    await this.#belongings[Symbol.asyncDispose]()
    for (const file of handles) rmSync(file, {force: true})
  }

  #begun<T>(part: T | undefined): T {
    if (!part) throw new Error('the round has not begun')
    return part
  }
}
