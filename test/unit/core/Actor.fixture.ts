import type {HeldLock} from '../../../src/lib/core/heldLock.ts'
import type {LossCause} from '../../../src/lib/core/session.ts'
import type {Client, Wish, World} from './world.fixture.ts'

/** One who wants the lock, or several, and how long its child ran: one that ignores TERM, so until it was killed. */
export class Actor {
  readonly client: Client
  readonly #world: World
  lock?: HeldLock
  waits = true
  fromMs = Infinity
  toMs = Infinity

  constructor(world: World, {answerLost, ...wish}: Wish & {answerLost: boolean}) {
    this.#world = world
    this.client = world.client()
    if (answerLost) this.client.store.loseAnswer('enqueue')
    this.client.acquire(wish).then(
      (acquisition) => {
        this.waits = false
        if (acquisition.is === 'held') this.#run(acquisition.lock)
      },
      () => (this.waits = false),
    )
  }

  get runs(): boolean {
    const nowMs = this.#world.clock.elapsedMs()
    return this.fromMs <= nowMs && nowMs < this.toMs
  }

  end(): void {
    this.#endAt(this.#world.clock.elapsedMs())
    void this.lock?.release(true)
  }

  #run(lock: HeldLock): void {
    const {clock} = this.#world
    this.lock = lock
    this.fromMs = clock.elapsedMs()
    lock.childStarted()
    lock.lost.addEventListener('abort', () => {
      const cause = lock.lost.reason as LossCause
      this.#kill(cause.kind === 'ticketGone' ? clock.elapsedMs() : cause.killAtMs)
    })
    lock.gone.addEventListener('abort', () => this.#kill(clock.elapsedMs()))
  }

  #kill(atMs: number): void {
    if (atMs >= this.toMs) return
    this.#endAt(atMs)
    void this.#world.clock.sleepUntil(atMs).then(() => this.lock?.release(false))
  }

  #endAt(atMs: number): void {
    this.toMs = Math.min(this.toMs, atMs)
  }
}
