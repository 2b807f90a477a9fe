import {type TicketAhead, describeHolder} from '../core/ticket.ts'
import {printable} from './escape.ts'
import {colourWanted} from './stderr.ts'

/** Where we stand: the lock's name, how many are ahead, and the first of them. */
interface Queue {
  name: string
  ahead?: number
  first?: TicketAhead
}

interface Spinner {
  text: string
  start(): Spinner
  stop(): Spinner
}

/**
 * A spinner on a terminal that says who holds the lock, since when, on which host, and how many are ahead. `ora` is loaded
 * only when somebody has to wait.
 */
export class WaitingDisplay {
  #spinner: Spinner | undefined
  /** What to show; undefined when there is nothing to show, also if `ora` is still being loaded. */
  #text: string | undefined

  /** Shows the queue as it is now. */
  show(queue: Queue): void {
    this.#text = printable(describeQueue(queue))
    if (this.#spinner === undefined) void this.#start()
    else this.#spinner.text = this.#text
  }

  /** Takes it away: the terminal is the job's. */
  hide(): void {
    this.#text = undefined
    this.#spinner?.stop()
    this.#spinner = undefined
  }

  async #start(): Promise<void> {
    // A terminal that is gone must not keep us from taking our ticket back.
    process.stderr.on('error', () => {})
    const ora = await import('ora').then(
      (module) => module.default,
      () => undefined,
    )
    if (ora === undefined) return
    if (this.#text === undefined || this.#spinner !== undefined) return
    const {stderr} = process
    this.#spinner = ora({
      text: this.#text,
      stream: stderr,
      color: colourWanted() && 'cyan',
      // A terminal that does not say how wide it is (a serial line, some containers) has 0 columns, and ora would wrap the
      // text into endlessly many lines: there it writes a plain line.
      ...(stderr.columns === 0 && {isEnabled: false}),
      // stdin is the job's, also while we wait.
      discardStdin: false,
    }).start()
  }
}

/** For example `nightly: waiting for anna@db1 (pid 4711) since 2026-03-01T02:00:00.000Z, 2 more ahead of us`. */
export function describeQueue({name, ahead = 0, first}: Queue): string {
  const holder = first === undefined ? 'the holder' : describeHolder(first)
  const more = ahead > 1 ? `, ${ahead - 1} more ahead of us` : ''
  return `${name}: waiting for ${holder}${more}`
}
