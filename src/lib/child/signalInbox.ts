import {constants} from 'node:os'

/** The signals that a user sends to leash and means for the job. */
const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const

/** By these a user, a terminal or a service manager ends what leash runs. */
const ending: ReadonlySet<NodeJS.Signals> = new Set(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'])

const {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS} = constants.signals
/** A process that does nothing when the kernel sends it one of these only meets the same fault again. */
const faults: readonly number[] = [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS]

/** Somebody told us to end before there was a child. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  readonly signal: NodeJS.Signals

  constructor(signal: NodeJS.Signals) {
    super(`interrupted by ${signal}`)
    this.signal = signal
  }
}

/**
 * Takes the signals that leash gets: before there is a child, the first one aborts `interrupted`; from then on each goes
 * to the child. Make it before anything is started.
 *
 * A signal that leash was told to ignore (by `nohup`, or as a background job of a script) does neither. Node has given it
 * back its default, so there is a listener for it, too.
 */
export class SignalInbox {
  readonly #interruption = new AbortController()
  readonly #signals: ReadonlySet<NodeJS.Signals>
  readonly #listener: (signal: NodeJS.Signals, number: number) => void
  #forward: ((signal: NodeJS.Signals) => void) | undefined
  #hasToldToEnd = false

  /** @param ignored the numbers of the signals that leash was told to ignore */
  constructor(ignored: readonly number[] = []) {
    this.#signals = new Set([...forwarded, ...namesOf(ignored)])
    this.#listener = (signal, number) => {
      if (ignored.includes(number)) return
      if (this.#forward === undefined) this.#interruption.abort(new Interrupted(signal))
      else {
        this.#hasToldToEnd ||= ending.has(signal)
        this.#forward(signal)
      }
    }
    for (const signal of this.#signals) process.on(signal, this.#listener)
  }

  /** Aborted with `Interrupted`. */
  get interrupted(): AbortSignal {
    return this.#interruption.signal
  }

  /** From now on there is a child to forward signals to; undefined: there is none any more. */
  forwardTo(forward: ((signal: NodeJS.Signals) => void) | undefined): void {
    this.#forward = forward
  }

  /** Somebody told a child to end: us, too, if we would start another one. */
  get hasToldToEnd(): boolean {
    return this.#hasToldToEnd
  }

  /** Gives the signals back to their defaults. */
  close(): void {
    for (const signal of this.#signals) process.off(signal, this.#listener)
  }
}

function namesOf(numbers: readonly number[]): NodeJS.Signals[] {
  const all = Object.keys(constants.signals) as NodeJS.Signals[]
  return all.filter(
    (name) => numbers.includes(constants.signals[name]) && !faults.includes(constants.signals[name]),
  )
}
