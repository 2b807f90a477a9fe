import {spawn, type ChildProcess} from 'node:child_process'
import {randomBytes, randomUUID} from 'node:crypto'
import {once} from 'node:events'
import {readFileSync} from 'node:fs'
import type {Containment} from '../../../src/lib/child/containment.ts'
import {isStopped, killMarked, processesMarked} from '../../support/processes.ts'
import {until} from '../../support/wait.ts'

/** Makes what holds a process that is there, and all that it will fork. */
export type Contain = (job: {pid: number; leads: boolean; marker: string}) => Promise<Containment>

/** What all processes of a test have in their environment: how they are found if the containment fails. */
const markVariable = 'TEST_CONTAINED'

export const soon = {withinMs: 10_000}

/** A job in a containment. It says what it has to say on its stdout. `await using` ends all that is left of it. */
export class Contained implements AsyncDisposable {
  readonly containment: Containment
  /** The variable that its processes carry. */
  readonly marker: string
  readonly #mark: string
  readonly #process: ChildProcess
  #said = ''
  #isGone = false

  private constructor(child: ChildProcess, containment: Containment, marker: string, mark: string) {
    this.#process = child
    this.containment = containment
    this.marker = marker
    this.#mark = mark
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#said += text))
    child.once('close', () => (this.#isGone = true))
  }

  /** Starts a process, has it contained, and lets it become the job. */
  static async start(contain: Contain, leads: boolean, ...argv: readonly string[]): Promise<Contained> {
    const [mark, marker] = [`${markVariable}=${randomUUID()}`, `LEASH_RUN_${randomBytes(8).toString('hex')}`]
    const env = {...process.env, [markVariable]: mark.slice(markVariable.length + 1), [marker]: '1'}
    const child = spawn('sh', ['-c', 'read -r _; exec "$@"', 'sh', ...argv], {
      detached: leads,
      env,
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    const containment = await contain({pid: child.pid ?? 0, leads, marker})
    child.stdin.write('go\n')
    return new Contained(child, containment, marker, mark)
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  /** What the kernel calls its process. */
  get name(): string {
    return readFileSync(`/proc/${this.pid}/comm`, 'latin1')
  }

  /** Its process has ended, and was reaped. */
  get hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null
  }

  /** Its code, or the signal that ended it. */
  async end(): Promise<number | NodeJS.Signals | null> {
    if (!this.hasEnded) await once(this.#process, 'exit')
    return this.#process.exitCode ?? this.#process.signalCode
  }

  get said(): string {
    return this.#said
  }

  async says(pattern: RegExp): Promise<string> {
    return until(`the job to say ${pattern}`, () => pattern.exec(this.#said)?.[0], soon)
  }

  /** The numbers that it said, at least so many. */
  async numbers(count: number): Promise<number[]> {
    const all = (): number[] => (this.#said.match(/\d+(?=\n)/g) ?? []).map(Number)
    return until(`${count} numbers`, () => (all().length >= count ? all() : undefined), soon)
  }

  async stop(pid = this.pid): Promise<void> {
    process.kill(pid, 'SIGSTOP')
    await until('it to stop', () => isStopped(pid), soon)
  }

  /** Kills as leash would, until it is said that nothing is left. */
  async killAll(): Promise<void> {
    const {containment} = this
    containment.kill()
    const isEmpty = (): boolean => this.hasEnded && containment.isEmpty()
    await until('the tree to be empty', () => isEmpty() || containment.kill(), {...soon, everyMs: 1})
  }

  /** Resolves when the kernel says that nothing is left: nobody has its stdout any more. */
  async isGone(): Promise<void> {
    await until('all of the job to be gone', () => this.#isGone, soon)
  }

  /** What carries the mark of the test. */
  processes(): number[] {
    return processesMarked(this.#mark).map(({pid}) => pid)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const isOver = (): boolean => {
      this.containment.kill()
      killMarked(this.#mark)
      // Its first thread may have ended, and its environment with it.
      if (!this.hasEnded) process.kill(this.pid, 'SIGKILL')
      return this.#isGone
    }
    await until('all of the job to be gone', isOver, soon)
    this.containment.dispose()
  }
}
