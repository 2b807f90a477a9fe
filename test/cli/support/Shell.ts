import {spawn, type ChildProcess} from 'node:child_process'
import {randomUUID} from 'node:crypto'
import {once} from 'node:events'
import {mkdirSync, rmSync, symlinkSync} from 'node:fs'
import path from 'node:path'
import {stripVTControlCharacters} from 'node:util'
import {killMarked, processesMarked, type Found} from '../../support/processes.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {until, within} from '../../support/wait.ts'
import {leashProgram} from './leash.ts'

/** What the keys send. */
export const keys = {
  interrupt: '\u0003',
  endOfFile: '\u0004',
  suspend: '\u001a',
  quit: '\u001c',
  enter: '\r',
} as const

const programs = {
  bash: 'bash --norc --noprofile --noediting -i',
  sh: 'sh -i',
} as const

/** The processes of a shell that has nothing to do: `script`, which makes the terminal, and itself. */
const terminalAndShell = 2

/** Not one of leash's own variables, which not all that it starts gets. */
const markVariable = 'TEST_SHELL'

/**
 * An interactive shell with job control on a terminal of its own, as a person would have it, and `leash` on its PATH. The
 * terminal does not echo, so that what is on the screen was said by somebody. `await using` kills whatever is left of it.
 */
export class Shell implements AsyncDisposable {
  readonly #mark = `${markVariable}=${randomUUID()}`
  readonly #bin = scratchDirectory('bin')
  readonly #terminal: ChildProcess
  readonly #end: Promise<unknown>
  #screen = ''
  #read = 0

  private constructor(shell: keyof typeof programs, env: Readonly<Record<string, string>>) {
    mkdirSync(this.#bin, {recursive: true})
    symlinkSync(leashProgram, path.join(this.#bin, 'leash'))
    const [name = '', value = ''] = this.#mark.split('=')
    const kept = Object.entries(process.env).filter(
      ([variable]) => !/^(LEASH_|ETCDCTL_|NODE_|VITEST|ENV$|BASH_ENV$|CI$)/.test(variable),
    )
    const start = `stty -echo cols 80 rows 24; ulimit -c 0; exec ${programs[shell]}`
    this.#terminal = spawn('script', ['-q', '-c', start, '/dev/null'], {
      detached: true,
      env: {
        ...Object.fromEntries(kept),
        PATH: `${this.#bin}:${path.dirname(process.execPath)}:${process.env['PATH']}`,
        SHELL: '/bin/sh',
        TERM: 'xterm',
        HISTFILE: '/dev/null',
        // What `status` waits for.
        PS1: '<$?> ',
        [name]: value,
        ...env,
      },
    })
    for (const stream of [this.#terminal.stdout, this.#terminal.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#screen += text))
    this.#terminal.stdin?.on('error', () => {})
    this.#end = once(this.#terminal, 'close')
  }

  /** Starts it and waits for its first prompt. */
  static async start(
    env: Readonly<Record<string, string>>,
    shell: keyof typeof programs = 'bash',
  ): Promise<Shell> {
    const started = new Shell(shell, env)
    try {
      await started.status()
      return started
    } catch (error) {
      await started[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Types a line. */
  run(line: string): void {
    this.type(`${line}${keys.enter}`)
  }

  type(text: string): void {
    this.#terminal.stdin?.write(text)
  }

  /** Waits until something matches among what came since the last match, and returns the match. */
  async says(pattern: RegExp, withinMs = 20_000): Promise<RegExpExecArray> {
    return until(
      `${pattern} on the terminal`,
      () => {
        const text = this.#screen.slice(this.#read)
        const found = pattern.exec(text)
        if (found) this.#read += found.index + found[0].length
        return found ?? undefined
      },
      {withinMs, everyMs: 5, detail: () => this.describe()},
    )
  }

  /** Waits for the next prompt, and returns the status of what ended or was stopped before it. */
  async status(withinMs = 20_000): Promise<number> {
    const [, status] = await this.says(/<(\d+)> $/, withinMs)
    return Number(status)
  }

  /** Resolves when the shell has said that something in its background was stopped, which it does before a prompt. */
  async knowsOfStop(): Promise<void> {
    const asked = async (): Promise<boolean> => {
      this.type(keys.enter)
      await this.status()
      return /Stopped/.test(this.#screen)
    }
    await until('the shell to speak of a stop', asked, {withinMs: 10_000, detail: () => this.describe()})
  }

  /** All that was ever on the screen. */
  get screen(): string {
    return stripVTControlCharacters(this.#screen).replaceAll('\r\n', '\n')
  }

  /** The terminal is gone, as when its window is closed or the network is lost: the kernel says HUP to the shell. */
  async hangUp(): Promise<void> {
    this.#terminal.kill('SIGKILL')
    await within('the terminal to be gone', this.#end, {withinMs: 5000})
  }

  /** Waits until one of its processes has this command line, and returns its process id. */
  async process(command: string): Promise<number> {
    const found = await until(
      `a process ${command}`,
      () => this.processes().find((process) => process.command === command),
      {withinMs: 10_000, detail: () => this.describe()},
    )
    return found.pid
  }

  /** All live processes that came from it, the shell included. */
  processes(): Found[] {
    return processesMarked(this.#mark)
  }

  /** Resolves when nothing is left of what it started. */
  async isAlone(): Promise<void> {
    await this.#dwindle('all but the shell to end', terminalAndShell)
  }

  /** Resolves when nothing is left of it, either. */
  async isGone(): Promise<void> {
    await this.#dwindle('all that came from the shell to end', 0)
  }

  async #dwindle(what: string, count: number): Promise<void> {
    const detail = (): string => this.describe()
    await until(what, () => this.processes().length <= count, {withinMs: 10_000, detail})
  }

  describe(): string {
    const processes = this.processes().map(({pid, command}) => `${pid} ${command}`)
    return `the screen: ${JSON.stringify(this.#screen)}\nits processes:\n${processes.join('\n')}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    killMarked(this.#mark)
    await within('the terminal to be gone', this.#end, {withinMs: 5000})
    rmSync(this.#bin, {recursive: true})
  }
}
