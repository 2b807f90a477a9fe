import {spawn, spawnSync, type ChildProcess} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {existsSync, readFileSync, readdirSync, rmSync} from 'node:fs'
import type {Socket} from 'node:net'
import path from 'node:path'
import {commandOf, isAlive} from '../../support/processes.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {until, within} from '../../support/wait.ts'
import {guardScript} from './job.fixture.ts'

const soon = {withinMs: 10_000}

/** What there is here of the shells that may be /bin/sh. */
export const shells = [['sh'], ['bash', '--posix'], ['busybox', 'sh']].filter(
  ([program = '', ...options]) => spawnSync(program, [...options, '-c', ':']).status === 0,
)

const newMarker = (): string => `LEASH_RUN_${randomBytes(8).toString('hex')}`

/** Boot time, in hundredths of a second. */
export const bootTime = (): number =>
  Math.round(Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 100)

interface GuardOptions {
  readonly shell?: readonly string[]
  readonly marker?: string
  /** The directory of a cgroup. */
  readonly directory?: string
  readonly env?: Readonly<Record<string, string>>
  /** A program in front of the shell. */
  readonly through?: readonly string[]
}

/** The guard alone, with a clean end that only notes its ticket. `await using` kills it and what it started. */
export class TestGuard implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #socket: Socket
  readonly #command: string
  readonly #directory = scratchDirectory('guard')
  readonly #exit: Promise<unknown>
  #said = ''
  #hasEnded = false

  constructor({shell = ['sh'], marker = newMarker(), directory = '', env, through = []}: GuardOptions = {}) {
    const cleanEnd = ['sh', '-c', 'echo "$1" >>"$0"', this.#cleanEndFile]
    const [program = '', ...args] = [...through, ...shell, guardScript, marker, directory, ...cleanEnd]
    this.#command = [...shell, guardScript, marker, directory, ...cleanEnd].join(' ')
    spawnSync('chmod', ['777', this.#directory])
    this.#process = spawn(program, args, {
      detached: true,
      env: {PATH: process.env['PATH'], ...env},
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    })
    this.#socket = this.#process.stdio[3] as Socket
    this.#socket.on('error', () => {})
    this.#socket.setEncoding('utf8').on('data', (text: string) => (this.#said += text))
    this.#exit = once(this.#process, 'exit').then(() => (this.#hasEnded = true))
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  /** The process of its that waits for the time to come; undefined if there is none. */
  get timerPid(): number | undefined {
    const isTimer = (pid: number): boolean =>
      pid !== this.pid && isAlive(pid) && commandOf(pid) === this.#command
    return readdirSync('/proc').map(Number).filter(Boolean).find(isTimer)
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  tell(...orders: readonly string[]): void {
    this.#socket.write(orders.map((order) => `${order}\n`).join(''))
  }

  /** What it answers. */
  async says(pattern: RegExp): Promise<string> {
    return until(`the guard to say ${pattern}`, () => pattern.exec(this.#said)?.[0], soon)
  }

  get said(): string {
    return this.#said
  }

  /** Leash is dead. */
  endInput(): void {
    this.#socket.end()
  }

  async end(): Promise<void> {
    await within('the guard to end', this.#exit, soon)
  }

  /** The ticket that the clean end was given; undefined if there was none. */
  get cleanEnd(): string | undefined {
    return existsSync(this.#cleanEndFile) ? readFileSync(this.#cleanEndFile, 'utf8') : undefined
  }

  get #cleanEndFile(): string {
    return path.join(this.#directory, 'clean-end')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      process.kill(-this.pid, 'SIGKILL')
    } catch {
      // It has ended, with all that it started.
    }
    await this.end()
    rmSync(this.#directory, {recursive: true})
  }
}
