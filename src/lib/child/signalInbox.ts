/** The signals that a user sends to leash and means for the job. */
const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const

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
 */
export class SignalInbox {
  readonly #interruption = new AbortController()
  readonly #listener: (signal: NodeJS.Signals) => void
  #forward: ((signal: NodeJS.Signals) => void) | undefined

  constructor() {
    this.#listener = (signal) => {
      if (this.#forward === undefined) this.#interruption.abort(new Interrupted(signal))
      else this.#forward(signal)
    }
    for (const signal of forwarded) process.on(signal, this.#listener)
  }

  /** Aborted with `Interrupted`. */
  get interrupted(): AbortSignal {
    return this.#interruption.signal
  }

  /** From now on there is a child to forward signals to. */
  forwardTo(forward: (signal: NodeJS.Signals) => void): void {
    this.#forward = forward
  }

  /** Gives the signals back to their defaults. */
  close(): void {
    for (const signal of forwarded) process.off(signal, this.#listener)
  }
}
