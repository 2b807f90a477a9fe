/** etcd's own view of a ticket: when it was deleted, and when it could have been at the earliest. */
import {status, timeToLive, watchPrefix, type KeyEvent} from './etcdGateway.ts'
import {nowMs, pause, until} from './wait.ts'

/**
 * Watches a prefix directly at etcd, around any relay, at one member or several. It outlives a member's outage:
 * it begins again after the last revision that it saw, so an event may be late by the outage but is not missed
 * (unless it was compacted meanwhile). With several members, an event counts from when the first one told it.
 */
export class TicketWatch implements AsyncDisposable {
  readonly events: KeyEvent[] = []
  readonly #stopping = new AbortController()
  readonly #watches: Promise<void>[] = []

  private constructor() {}

  /** Resolves when every member that answers now has begun to watch. */
  static async on(urls: readonly string[], prefix: string): Promise<TicketWatch> {
    const watch = new TicketWatch()
    const begun = urls.map(async (url) => {
      const {revision} = await status(url)
      await new Promise<void>((resolve) =>
        watch.#watches.push(watch.#follow(url, prefix, BigInt(revision) + 1n, resolve)),
      )
    })
    await Promise.all(begun)
    return watch
  }

  /** When etcd said that the key was deleted; undefined if it has not. */
  deletedAtMs(key: string): number | undefined {
    return this.events.find((event) => event.key === key && event.type === 'DELETE')?.atMs
  }

  deleted(key: string, withinMs = 30_000): Promise<number> {
    return until(`etcd to delete ${key}`, () => this.deletedAtMs(key), {withinMs, everyMs: 2})
  }

  created(match: (event: KeyEvent) => boolean, withinMs = 10_000): Promise<KeyEvent> {
    const found = () => this.events.find((event) => event.type === 'PUT' && match(event))
    return until('a key to be put', found, {withinMs, everyMs: 2, detail: () => JSON.stringify(this.events)})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#watches)
  }

  async #follow(url: string, prefix: string, from: bigint, onFirst: () => void): Promise<void> {
    let next = from
    const onEvent = (event: KeyEvent, revision: bigint): void => {
      next = revision + 1n > next ? revision + 1n : next
      const same = (one: KeyEvent) => one.key === event.key && one.modRevision === event.modRevision
      if (!this.events.some(same)) this.events.push(event)
    }
    while (!this.#stopping.signal.aborted) {
      await watchPrefix(url, prefix, String(next), {onCreated: onFirst, onEvent}, this.#stopping.signal)
      if (!this.#stopping.signal.aborted) await pause(20)
    }
  }
}

/**
 * A lower bound for the moment at which etcd could expire one lease, by asking again and again how much is left.
 * etcd answers whole seconds, rounded down, so each answer bounds the expiry from the moment it was asked for; the
 * bound is tight, to one interval, once the number has fallen by one since the last renewal. While etcd does not
 * answer, it stays as it was.
 */
export class ExpiryBound implements AsyncDisposable {
  #notBeforeMs = 0
  #goneAtMs: number | undefined
  readonly #stopping = new AbortController()
  readonly #polls: Promise<void>[]

  constructor(urls: readonly string[], lease: string, everyMs = 25) {
    this.#polls = urls.map((url) => this.#poll(url, lease, everyMs))
  }

  get notBeforeMs(): number {
    return this.#notBeforeMs
  }

  /** When an answer first said that the lease is gone. */
  get goneAtMs(): number | undefined {
    return this.#goneAtMs
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#polls)
  }

  async #poll(url: string, lease: string, everyMs: number): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const askedAtMs = nowMs()
      const state = await timeToLive(url, lease, 300).catch(() => undefined)
      // 0 is also what is left of a lease that is past its time and not deleted yet; -1 says that it is gone.
      if (state && state.remainingS > 0)
        this.#notBeforeMs = Math.max(this.#notBeforeMs, askedAtMs + state.remainingS * 1000)
      if (state?.remainingS === -1) this.#goneAtMs ??= nowMs()
      await pause(everyMs)
    }
  }
}
