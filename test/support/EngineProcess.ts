import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {closeSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync} from 'node:fs'
import path from 'node:path'
import {EtcdApi} from './EtcdApi.ts'
import {isStopped} from './processes.ts'
import {scratchDirectory} from './scratch.ts'
import {until} from './wait.ts'

const driver = path.join(import.meta.dirname, 'engineDriver.ts')
const startMs = 20_000

/**
 * The local engine in a process of its own. `await using` kills it and removes its data. It also dies with the process that
 * started it, however that ends.
 */
export class EngineProcess implements AsyncDisposable {
  readonly #directory = scratchDirectory('engine')
  readonly #logFile = path.join(this.#directory, 'log')
  readonly socketPath = path.join(this.#directory, 'socket')
  /** As gRPC has it, and as a client URL. */
  readonly target = `unix:${this.socketPath}`
  readonly url = this.target
  #process: ChildProcess | undefined

  private constructor() {
    mkdirSync(this.#store, {mode: 0o700})
  }

  /** Starts it and waits until it answers. */
  static async start(): Promise<EngineProcess> {
    const engine = new EngineProcess()
    engine.launch()
    await engine.ready()
    return engine
  }

  get #store(): string {
    return path.join(this.#directory, 'store')
  }

  get isRunning(): boolean {
    return this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** The names of its store's files. */
  get files(): string[] {
    return readdirSync(this.#store)
  }

  /** What it said. */
  get log(): string {
    return readFileSync(this.#logFile, 'utf8').trimEnd()
  }

  /** Begins to start it on the data that is there, without waiting. */
  launch(): void {
    if (this.isRunning) throw new Error('the engine still runs')
    // A log of its own for each start: `ready` in it is this one's.
    const log = openSync(this.#logFile, 'w')
    const command = ['--pdeathsig', 'KILL', process.execPath, '--import', 'tsx', driver]
    this.#process = spawn('setpriv', [...command, this.#store, this.socketPath], {
      stdio: ['ignore', log, log],
    })
    closeSync(log)
  }

  /** Resolves when it answers. */
  async ready(): Promise<void> {
    await until(
      'the engine to start',
      () => {
        if (!this.isRunning) throw new Error(`the engine ended by itself:\n${this.log}`)
        return this.log.includes('ready')
      },
      {withinMs: startMs, detail: () => this.log},
    )
    using api = new EtcdApi(this.target)
    await api.call('Maintenance.Status', {})
  }

  /** Starts it again on the same data and socket, and waits until it answers. */
  async restart(): Promise<void> {
    this.launch()
    await this.ready()
  }

  get #running(): ChildProcess & {pid: number} {
    const child = this.#process
    if (child?.pid === undefined || !this.isRunning)
      throw new Error(`the engine ended by itself:\n${this.log}`)
    return child as ChildProcess & {pid: number}
  }

  /** SIGKILL. Resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#running
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  /** SIGSTOP. Resolves when it stands still: it accepts connections (the kernel does) and answers nothing. */
  async freeze(): Promise<void> {
    const {pid} = this.#running
    process.kill(pid, 'SIGSTOP')
    await until('the engine to stop', () => isStopped(pid), {withinMs: 2000, everyMs: 1})
  }

  /** SIGCONT. Its clock went on meanwhile. */
  thaw(): void {
    process.kill(this.#running.pid, 'SIGCONT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isRunning) await this.kill()
    rmSync(this.#directory, {recursive: true, force: true})
  }
}
