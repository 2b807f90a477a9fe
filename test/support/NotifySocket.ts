import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, rmSync} from 'node:fs'
import path from 'node:path'
import {scratchDirectory} from './scratch.ts'
import {until} from './wait.ts'

const repository = path.resolve(import.meta.dirname, '../..')

/** Where scripts/debian-setup has put the programs of systemd. */
export const systemdPrograms = path.join(repository, '.cache/systemd/bin')

/** A socket as systemd binds one for NOTIFY_SOCKET; it takes every message and does nothing. */
export class NotifySocket implements AsyncDisposable {
  readonly directory = scratchDirectory('notify')
  readonly path = path.join(this.directory, 'socket')
  readonly #process: ChildProcess
  #output = ''

  private constructor() {
    if (!existsSync(path.join(systemdPrograms, 'systemd-notify')))
      throw new Error('systemd-notify is missing: run scripts/debian-setup')
    const program = path.join(import.meta.dirname, 'notifySocket.pl')
    const child = spawn('perl', [program, this.path], {stdio: ['pipe', 'pipe', 'inherit']})
    child.stdout.setEncoding('utf8').on('data', (text: string) => (this.#output += text))
    this.#process = child
  }

  static async bind(): Promise<NotifySocket> {
    const socket = new NotifySocket()
    await until('the socket to be bound', () => socket.#output.startsWith('bound\n'), {withinMs: 5000})
    return socket
  }

  /** What leash is given to speak to this socket, from wherever it runs. */
  get env(): {NOTIFY_SOCKET: string; PATH: string} {
    return {NOTIFY_SOCKET: this.path, PATH: `${systemdPrograms}:${process.env['PATH']}`}
  }

  /** All that was said so far, in order; the lines of one message joined by `|`. systemd-notify's own barriers are left out. */
  get messages(): string[] {
    return this.#output
      .split('\n')
      .slice(1, -1)
      .filter((message) => message !== 'BARRIER=1')
  }

  /** Waits until so many messages have come, and returns all. */
  async heard(count: number, withinMs = 10_000): Promise<string[]> {
    return until(`${count} messages`, () => this.messages.length >= count && this.messages, {
      withinMs,
      detail: () => this.messages.join('\n'),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, 'exit')
    this.#process.stdin?.end()
    await ended
    rmSync(this.directory, {recursive: true})
  }
}
