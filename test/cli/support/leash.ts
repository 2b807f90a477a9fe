import {spawn, type ChildProcess} from 'node:child_process'
import {randomUUID} from 'node:crypto'
import {readFileSync} from 'node:fs'
import path from 'node:path'
import {killMarked, processesMarked, type Found} from '../../support/processes.ts'
import {until, within} from '../../support/wait.ts'

const repository = path.resolve(import.meta.dirname, '../../..')
const {bin} = JSON.parse(readFileSync(path.join(repository, 'package.json'), 'utf8')) as {
  bin: {leash: string}
}

/** The built command: what package.json names as its program. */
export const leashProgram = path.join(repository, bin.leash)

/** A program beside this file. */
export const fixture = (name: string): string => path.join(import.meta.dirname, name)

const markVariable = 'LEASH_TEST_RUN'

/** What stays of the environment of whoever runs the tests: nothing that configures leash, Node or a terminal. */
const kept = Object.entries(process.env).filter(
  ([name]) => !/^(LEASH_|ETCDCTL_|NODE_|VITEST|NO_COLOR$|FORCE_COLOR$|CI$)/.test(name),
)

export interface LeashOptions {
  /** On top of the usual environment. */
  readonly env?: Readonly<Record<string, string>>
  /** The whole environment. */
  readonly onlyEnv?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** All of stdin; without it stdin stays open and empty until `endInput`. */
  readonly input?: string | Buffer
  /** A program in front of leash: `['script', ...]`. It ends in what starts leash. */
  readonly through?: readonly string[]
}

export interface Ended {
  /** As a shell would see it: a number, also if a signal ended leash itself. */
  readonly status: number | NodeJS.Signals
  readonly stdout: string
  readonly stderr: string
}

/** The built command, while it runs. `await using` kills whatever is left of it and of what it started. */
export class Leash implements AsyncDisposable {
  readonly #mark = `${markVariable}=${randomUUID()}`
  readonly #process: ChildProcess & {pid: number}
  readonly #stdout: Buffer[] = []
  readonly #stderr: Buffer[] = []
  readonly #end: Promise<number | NodeJS.Signals>
  #ended = false

  constructor(args: readonly string[], {env, onlyEnv, cwd, input, through = []}: LeashOptions = {}) {
    const [program = '', ...rest] = [...through, process.execPath, leashProgram, ...args]
    const [name = '', value = ''] = this.#mark.split('=')
    const child = spawn(program, rest, {
      // A session of its own: no terminal, and no signal that is meant for the test runner.
      detached: true,
      env: {...(onlyEnv ?? {...Object.fromEntries(kept), ...env}), [name]: value},
      cwd,
    })
    if (child.pid === undefined) throw new Error(`${program} did not start`)
    this.#process = child as ChildProcess & {pid: number}
    child.stdout.on('data', (bytes: Buffer) => this.#stdout.push(bytes))
    child.stderr.on('data', (bytes: Buffer) => this.#stderr.push(bytes))
    // Whoever is started may end without reading.
    child.stdin.on('error', () => {})
    if (input !== undefined) child.stdin.end(input)
    this.#end = new Promise((resolve) => {
      child.on('close', (status, signal) => {
        this.#ended = true
        resolve(status ?? signal ?? 'SIGKILL')
      })
    })
  }

  get pid(): number {
    return this.#process.pid
  }

  get hasEnded(): boolean {
    return this.#ended
  }

  get stdout(): string {
    return this.stdoutBytes.toString()
  }

  get stdoutBytes(): Buffer {
    return Buffer.concat(this.#stdout)
  }

  get stderr(): string {
    return Buffer.concat(this.#stderr).toString()
  }

  /** Signals leash itself. */
  kill(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal)
  }

  /** Leash is killed and has no chance to do anything; what it started goes on. */
  async killHard(): Promise<void> {
    this.kill('SIGKILL')
    await until('leash to be gone', () => !this.processes().some(({pid}) => pid === this.pid), {
      withinMs: 5000,
    })
  }

  type(text: string): void {
    this.#process.stdin?.write(text)
  }

  endInput(): void {
    this.#process.stdin?.end()
  }

  /** Waits until its stdout, or stderr, matches; fails at once when leash ends before. */
  async says(pattern: RegExp, stream: 'stdout' | 'stderr' = 'stdout', withinMs = 20_000): Promise<string> {
    const detail = (): string => this.describe()
    return until(
      `leash to say ${pattern} on ${stream}`,
      () => {
        const found = pattern.exec(this[stream])?.[0]
        if (found === undefined && this.#ended) throw new Error(`leash ended first\n${detail()}`)
        return found
      },
      {withinMs, everyMs: 5, detail},
    )
  }

  /** Resolves when leash has ended and its output is complete. */
  async end(withinMs = 30_000): Promise<Ended> {
    const status = await within('leash to end', this.#end, {withinMs, detail: () => this.describe()})
    return {status, stdout: this.stdout, stderr: this.stderr}
  }

  /** All live processes that came from it, leash included. */
  processes(): Found[] {
    return processesMarked(this.#mark)
  }

  describe(): string {
    return `its stdout: ${this.stdout || '(nothing)'}\nits stderr: ${this.stderr || '(nothing)'}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    killMarked(this.#mark)
    await within('leash to be reaped', this.#end, {withinMs: 5000, detail: () => this.describe()})
  }
}

/** Runs the built command to its end. */
export const leash = async (args: readonly string[], options: LeashOptions = {}): Promise<Ended> => {
  await using running = new Leash(args, {input: '', ...options})
  return await running.end()
}
