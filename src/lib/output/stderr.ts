import {write, writeSync} from 'node:fs'
import {isatty} from 'node:tty'
import {printable} from './escape.ts'

/** How much is said. `quiet`: only faults. `verbose`: also what goes well. */
export type Verbosity = 'quiet' | 'normal' | 'verbose'

const stderr = 2
/** Long enough for any sentence of ours with a name and a server's error in it. */
const longestLine = 2000
const yellow = '\u001b[33m'
const plain = '\u001b[39m'

/** Whether a person reads stderr: then contention is worth a word, and waiting a spinner. */
export function isTerminal(): boolean {
  return isatty(stderr)
}

/** Whether what we write to the terminal may have colours (https://no-color.org). */
export function colourWanted(): boolean {
  return isTerminal() && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb'
}

/**
 * What leash says on stderr: whole lines, `leash: TEXT`, made safe for a terminal. Colour only on a terminal that wants it. A
 * closed or broken stderr never disturbs the job.
 */
export class Speaker {
  readonly verbosity: Verbosity
  readonly #subject: string
  readonly #colour: boolean

  /** @param subject the lock's name, which begins each line; empty for none */
  constructor(verbosity: Verbosity, subject = '') {
    this.verbosity = verbosity
    this.#subject = subject === '' ? '' : `${subject}: `
    this.#colour = colourWanted()
  }

  /** Says why leash cannot do what it was asked, whatever the verbosity. Waits for the reader: no job runs then. */
  fault(text: string): void {
    try {
      writeSync(stderr, this.#line(text))
    } catch {
      // Nobody can be told.
    }
  }

  /** Says what a person should know although the work goes on, or how it ended. */
  warn(text: string): void {
    if (this.verbosity !== 'quiet') this.#say(text)
  }

  /** Says what only the curious want to know. */
  detail(text: string): void {
    if (this.verbosity === 'verbose') this.#say(text)
  }

  /** In order, and without waiting: a reader of stderr that has stalled must not stop the one who supervises a job. */
  #say(text: string): void {
    const line = this.#line(text)
    lastSaid = lastSaid.then(() => new Promise((resolve) => write(stderr, line, () => resolve())))
  }

  #line(text: string): string {
    const name = this.#colour ? `${yellow}leash:${plain}` : 'leash:'
    return `${name} ${printable(`${this.#subject}${text}`, longestLine)}\n`
  }
}

let lastSaid: Promise<void> = Promise.resolve()
