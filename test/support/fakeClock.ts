import type {TimeSource} from '../../src/lib/core/clock.ts'

interface Timer {
  dueMs: number
  wake: () => void
}

/** How long `passing` lets time pass before it says that nothing will come. */
const longestPassingMs = 24 * 3600 * 1000

/** Lets everything happen that needs no time: promises, and what follows from them. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Time that passes only when told. Timers are as coarse as Node's: whole milliseconds, rounded down, at least one. */
export class FakeClock implements TimeSource {
  #monotonicMs = 1_000
  #bootMs = 70_000
  #wallMs = Date.UTC(2030, 0, 1)
  readonly #timers = new Set<Timer>()

  monotonicMs(): number {
    return this.#monotonicMs
  }

  bootMs(): number {
    return this.#bootMs
  }

  wallMs(): number {
    return this.#wallMs
  }

  schedule(delayMs: number, wake: () => void): () => void {
    const timer = {dueMs: this.#monotonicMs + Math.max(1, Math.floor(delayMs)), wake}
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** How many timers wait: none when nothing goes on. */
  get timerCount(): number {
    return this.#timers.size
  }

  /** Lets time pass, runs the timers that fall due in their order, and lets promises settle after each. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#monotonicMs + ms
    await settled()
    for (let next = this.#next(); next !== undefined && next.dueMs <= endMs; next = this.#next()) {
      await this.#run(next)
    }
    this.#pass(endMs - this.#monotonicMs)
    await settled()
  }

  /** Lets time pass until the promise is settled, from timer to timer. */
  async passing<T>(promise: Promise<T>): Promise<T> {
    let pending = true
    const end = (): void => {
      pending = false
    }
    promise.then(end, end)
    const endMs = this.#monotonicMs + longestPassingMs
    await settled()
    while (pending) {
      const next = this.#next()
      if (next === undefined) throw new Error('waits for something that is not time')
      if (next.dueMs > endMs) throw new Error('a day has passed in vain')
      await this.#run(next)
    }
    return promise
  }

  /** The process stands still: time passes, and timers that fell due are late. */
  block(ms: number): void {
    this.#pass(ms)
  }

  /** The machine is suspended: the monotonic clock, and timers with it, stand still. */
  suspend(ms: number): void {
    this.#bootMs += ms
    this.#wallMs += ms
  }

  /** Somebody sets the wall clock. */
  stepWall(ms: number): void {
    this.#wallMs += ms
  }

  async #run(timer: Timer): Promise<void> {
    this.#pass(Math.max(0, timer.dueMs - this.#monotonicMs))
    this.#timers.delete(timer)
    timer.wake()
    await settled()
  }

  #pass(ms: number): void {
    this.#monotonicMs += ms
    this.#bootMs += ms
    this.#wallMs += ms
  }

  /** The timer that is due first; of several at the same moment the one that was set first. */
  #next(): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.#timers) if (first === undefined || timer.dueMs < first.dueMs) first = timer
    return first
  }
}
