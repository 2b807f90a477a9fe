import {spawn, type ChildProcess} from 'node:child_process'
import {randomUUID} from 'node:crypto'
import {existsSync, mkdirSync, readFileSync} from 'node:fs'
import path from 'node:path'
import type {FixtureMode, Oracle, Running, Tree} from './oracle.ts'
import {Enclosure} from './cgroups.ts'
import {commandOf, isAlive, killMarked, parentOf, processesMarked, type Found} from './processes.ts'
import {nowMs, within} from './wait.ts'

const repository = path.resolve(import.meta.dirname, '../..')

/** The built command, started as users start it: what package.json names as its program, which finds Node on PATH. */
export const leash = (): string[] => {
  const manifest = readFileSync(path.join(repository, 'package.json'), 'utf8')
  const {bin} = JSON.parse(manifest) as {bin: {leash: string}}
  return [path.join(repository, bin.leash)]
}

/** All that a job starts carries this variable: it is how strays are found. */
const markVariable = 'LEASH_TEST_JOB'

export interface JobOptions {
  readonly oracle: Oracle
  /** What `--endpoints` gets; `local` for `--local`. */
  readonly endpoints: readonly string[] | 'local'
  /** Its own name among the oracle's trees, and of its files. */
  readonly name?: string
  readonly lock?: string
  readonly ttl?: string
  readonly prefix?: string
  /** What the fixture is told to be. */
  readonly modes?: readonly FixtureMode[]
  /** More options of `leash run`. */
  readonly flags?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Another program that takes the same command line, in place of the built leash. */
  readonly program?: readonly string[]
}

export interface Exit {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly atMs: number
}

/** The user's environment without what would configure leash or slow down its start, and with the Node that we run on. */
const environment = (mark: string, more: JobOptions['env']): NodeJS.ProcessEnv => {
  const kept = Object.entries(process.env).filter(([name]) => !/^(LEASH_|ETCDCTL_|NODE_|VITEST)/.test(name))
  const home = path.join(repository, '.cache/home')
  mkdirSync(home, {recursive: true})
  const PATH = [path.dirname(process.execPath), process.env['PATH']].join(path.delimiter)
  return {...Object.fromEntries(kept), HOME: home, PATH, [markVariable]: mark, ...more}
}

/**
 * One `leash run` around the fixture, in a session of its own without a terminal. `await using` kills whatever is
 * left of it, by the cgroup that the test put it in and by the mark in its environment.
 */
export class Job implements AsyncDisposable {
  readonly name: string
  readonly statusFile: string
  /** The whole command line, to repeat it by hand. */
  readonly commandLine: readonly string[]
  /** Resolves when leash itself has ended. */
  readonly exit: Promise<Exit>
  readonly #tree: Tree
  readonly #mark = randomUUID()
  readonly #process: ChildProcess & {pid: number}
  readonly #enclosure = new Enclosure()
  #output = {stdout: '', stderr: ''}
  #ended: Exit | undefined

  private constructor(options: JobOptions) {
    this.name = options.name ?? 'job'
    this.#tree = options.oracle.tree(this.name)
    this.statusFile = path.join(options.oracle.directory, `${this.name}.status`)
    this.commandLine = [
      ...[
        ...(options.program ?? leash()),
        'run',
        '--with-lock',
        options.lock ?? 'nightly',
        '--ttl',
        options.ttl ?? '3s',
      ],
      ...(options.endpoints === 'local' ? ['--local'] : ['--endpoints', options.endpoints.join(',')]),
      ...['--status-file', this.statusFile],
      ...(options.prefix === undefined ? [] : ['--prefix', options.prefix]),
      ...(options.flags ?? []),
      ...['--', ...options.oracle.command(this.name, options.modes)],
    ]
    const [program = '', ...args] = this.#enclosure.command(this.commandLine)
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment(this.#mark, options.env),
    })
    if (child.pid === undefined) throw new Error(`${program} did not start`)
    this.#process = child as ChildProcess & {pid: number}
    if (options.modes?.includes('closed-pipe')) child.stdout.destroy()
    else child.stdout.setEncoding('utf8').on('data', (text: string) => (this.#output.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#output.stderr += text))
    this.exit = new Promise((resolve) => {
      child.on('exit', (status, signal) => {
        this.#ended = {status, signal, atMs: nowMs()}
        resolve(this.#ended)
      })
    })
  }

  /** Starts it; it may then wait for its lock as long as it likes. */
  static start(options: JobOptions): Job {
    return new Job(options)
  }

  /** Starts it and waits until the fixture runs. */
  static async startRunning(options: JobOptions): Promise<Job> {
    const job = new Job(options)
    try {
      await job.running()
      return job
    } catch (error) {
      await job[Symbol.asyncDispose]()
      throw error
    }
  }

  /** The process id of leash itself. */
  get pid(): number {
    return this.#process.pid
  }

  get stdout(): string {
    return this.#output.stdout
  }

  get stderr(): string {
    return this.#output.stderr
  }

  /** Has the fixture ever started? */
  get hasStarted(): boolean {
    return this.#tree.hasStarted
  }

  /** Has leash itself ended? */
  get hasEnded(): boolean {
    return this.#ended !== undefined
  }

  /** When the last process of the tree had gone; undefined while there is one. */
  get emptyAtMs(): number | undefined {
    return this.#tree.emptyAtMs
  }

  /** Resolves when the fixture says that it runs; fails at once when leash ends before. */
  running(withinMs = 10_000): Promise<Running> {
    const early = this.exit.then((exit) => {
      if (this.hasStarted) return this.#tree.running(0)
      throw new Error(`leash ended before its job ran: ${JSON.stringify(exit)}\n${this.describe()}`)
    })
    return Promise.race([this.#tree.running(withinMs, () => this.describe()), early])
  }

  /** Resolves with the moment at which no process of the tree was left. */
  treeEmpty(withinMs = 30_000): Promise<number> {
    return this.#tree.empty(withinMs, () => this.describe())
  }

  exited(withinMs = 30_000): Promise<Exit> {
    return within(`leash (${this.name}) to end`, this.exit, {withinMs, detail: () => this.describe()})
  }

  /** Tells the fixture to end by itself. */
  tellToExit(status: number, afterMs = 0): void {
    this.#tree.exit(status, afterMs)
  }

  /** Signals leash itself, not its child. */
  kill(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal)
  }

  /** Signals the process group that leash was started in. */
  killGroup(signal: NodeJS.Signals): void {
    process.kill(-this.pid, signal)
  }

  /** SIGKILL to all that is in the cgroup that the test put it in, as systemd ends a unit. Nothing where there can be none. */
  killUnit(): void {
    this.#enclosure.kill()
  }

  /** The process id of leash's guard. What it forks has the same command line, and another parent. */
  get guardPid(): number {
    const guard = this.processes().find(
      ({pid, command}) => command.includes('guard.sh') && parentOf(pid) === this.pid,
    )
    if (!guard) throw new Error(`leash (${this.name}) has no guard\n${this.describe()}`)
    return guard.pid
  }

  /** What leash wrote to its status file, or undefined if there is none. */
  status(): unknown {
    return existsSync(this.statusFile) ? JSON.parse(readFileSync(this.statusFile, 'utf8')) : undefined
  }

  /** All live processes that came from it, leash included. */
  processes(): Found[] {
    const marked = processesMarked(`${markVariable}=${this.#mark}`)
    const others = this.#enclosure.pids().filter((pid) => !marked.some((found) => found.pid === pid))
    return [...marked, ...others.filter(isAlive).map((pid) => ({pid, command: commandOf(pid)}))]
  }

  /** The cgroups that leash has made and not removed yet. */
  cgroups(): string[] {
    return this.#enclosure.cgroups()
  }

  /** For the reader of a failed test. */
  describe(): string {
    const state = this.#ended ? `ended with ${this.#ended.status ?? this.#ended.signal}` : 'runs'
    return `leash (${this.name}) ${state}; its stderr:\n${this.stderr || '(nothing)'}\nits command: ${this.commandLine.join(' ')}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#enclosure.kill()
    killMarked(`${markVariable}=${this.#mark}`)
    await within('leash to be reaped', this.exit, {withinMs: 5000})
    await this.#enclosure[Symbol.asyncDispose]()
  }
}
