import {describe, expect, test} from 'vitest'
import {Clock} from '../../../src/lib/core/clock.ts'
import type {QueueReading, SeenTicket, Step} from '../../../src/lib/core/observation.ts'
import {type Observed, type QueueReader, observe} from '../../../src/lib/core/observer.ts'
import {FakeClock} from '../../support/fakeClock.ts'
import {watch} from './world.fixture.ts'

const ticket = (value: number, createRevision: number): SeenTicket => ({
  key: `q/${createRevision}`,
  createRevision: BigInt(createRevision),
  modRevision: BigInt(value),
  lease: 1n,
  value: Uint8Array.of(value),
})

/** A queue at etcd, and what stands between it and an observer. */
class FakeQueue implements QueueReader {
  readonly server = {name: 'etcd', wayOut: 'look after it'}
  readonly lastFailure = 'nobody answers'
  readonly time = new FakeClock()
  readonly clock = new Clock(this.time)
  revision = 9n
  tickets: SeenTicket[] = [ticket(9, 5)]
  /** Whether reads are answered. */
  answers = true
  /** How long reads take. */
  lateMs = 0
  /** The watches so far, by the revision after which they began. */
  readonly followed: bigint[] = []
  readonly news: Observed[] = []
  #tell: (step: Step) => void = () => {}
  #compacted: () => void = () => {}
  readonly #waiting: (() => void)[] = []
  readonly #control = new AbortController()

  /** What was told, one word or two each. */
  get told(): string[] {
    return this.news.map((news) =>
      'ticket' in news ? `${news.kind} ${news.ticket.value.join()}` : news.kind,
    )
  }

  observer(): ReturnType<typeof watch<never>> {
    const observation = {queuePrefix: 'q/', connectTimeoutMs: 10_000, staleAfterMs: 15_000}
    const tell = (news: Observed): number => this.news.push(news)
    return watch(observe(observation, {reader: this, clock: this.clock, tell}, this.#control.signal))
  }

  stop(): void {
    this.#control.abort('told to')
  }

  /** Changes the first ticket's value. The watch says so, if it is not behind. */
  proclaim(value: number, isTold = true): void {
    this.revision = BigInt(value)
    this.tickets = [ticket(value, 5)]
    if (isTold) this.tellStep(value)
  }

  tellStep(value: number): void {
    this.#tell({revision: BigInt(value), events: [{is: 'put', ticket: ticket(value, 5)}]})
  }

  compact(): void {
    this.#compacted()
  }

  answerAgain(): void {
    this.answers = true
    for (const answer of this.#waiting.splice(0)) answer()
  }

  async readQueue(_prefix: string, _part: 'all' | 'first', signal: AbortSignal): Promise<QueueReading> {
    if (!this.answers)
      await new Promise<void>((resolve, reject) => {
        this.#waiting.push(resolve)
        signal.addEventListener('abort', () => reject(signal.reason as Error), {once: true})
      })
    return {tickets: this.tickets, revision: this.revision, sentAtMs: this.clock.elapsedMs() - this.lateMs}
  }

  follow(
    _prefix: string,
    afterRevision: bigint,
    onStep: (step: Step) => void,
    signal: AbortSignal,
  ): Promise<'compacted'> {
    this.followed.push(afterRevision)
    return new Promise((resolve, reject) => {
      this.#tell = onStep
      this.#compacted = () => resolve('compacted')
      signal.addEventListener('abort', () => reject(signal.reason as Error), {once: true})
    })
  }
}

const observed = async (): Promise<{queue: FakeQueue; observer: ReturnType<FakeQueue['observer']>}> => {
  const queue = new FakeQueue()
  const observer = queue.observer()
  await queue.time.advance(0)
  return {queue, observer}
}

test('tells the present state, then what the watch tells, and ends with the reason of the signal', async () => {
  const {queue, observer} = await observed()
  queue.proclaim(10)
  expect(queue.told).toEqual(['elected 9', 'proclaimed 10'])
  expect(queue.followed).toEqual([9n])
  queue.stop()
  await queue.time.advance(0)
  expect(observer.error).toBe('told to')
  expect(queue.time.timerCount).toBe(0)
})

test('gives up when etcd cannot be reached at the start', async () => {
  const queue = new FakeQueue()
  queue.answers = false
  const observer = queue.observer()
  await queue.time.advance(9999)
  expect(observer.pending).toBe(true)
  await queue.time.advance(1)
  expect(observer.error).toMatchObject({
    code: 'unavailable',
    message: 'etcd cannot be reached: nobody answers',
    wayOut: 'look after it',
  })
})

describe('after a compaction', () => {
  test('tells the difference once, behind a word that changes may be missing', async () => {
    const {queue} = await observed()
    queue.proclaim(14, false)
    queue.compact()
    await queue.time.advance(0)
    expect(queue.told).toEqual(['elected 9', 'gap', 'proclaimed 14'])
    expect(queue.followed).toEqual([9n, 14n])
  })

  test('says nothing if nothing was missed, and goes on', async () => {
    const {queue} = await observed()
    queue.revision = 30n
    queue.compact()
    await queue.time.advance(0)
    expect(queue.told).toEqual(['elected 9'])
    expect(queue.followed).toEqual([9n, 30n])
  })
})

describe('what was told', () => {
  test('is stale when there was no proof for so long, which is said once; and fresh with the next proof', async () => {
    const {queue} = await observed()
    await queue.time.advance(60_000)
    queue.answers = false
    // The last proof was at 60 s.
    await queue.time.advance(14_999)
    expect(queue.told).toEqual(['elected 9'])
    await queue.time.advance(1)
    expect(queue.news.at(-1)).toEqual({kind: 'stale', afterMs: 15_000, reason: 'nobody answers'})
    await queue.time.advance(60_000)
    queue.answerAgain()
    await queue.time.advance(0)
    expect(queue.told).toEqual(['elected 9', 'stale', 'fresh'])
    queue.answers = false
    await queue.time.advance(15_000)
    expect(queue.told).toEqual(['elected 9', 'stale', 'fresh', 'stale'])
  })

  test('is not confirmed by an answer that took longer than that, and still said once to be stale', async () => {
    const {queue} = await observed()
    queue.answers = false
    await queue.time.advance(40_000)
    queue.lateMs = 15_001
    queue.answerAgain()
    await queue.time.advance(60_000)
    expect(queue.told).toEqual(['elected 9', 'stale'])
    queue.lateMs = 0
    await queue.time.advance(5000)
    expect(queue.told).toEqual(['elected 9', 'stale', 'fresh'])
  })

  test('is proven by a reading that shows more only when the watch has told that', async () => {
    const {queue} = await observed()
    queue.answers = false
    await queue.time.advance(15_000)
    queue.proclaim(10, false)
    queue.answerAgain()
    await queue.time.advance(0)
    expect(queue.told).toEqual(['elected 9', 'stale'])
    queue.tellStep(10)
    expect(queue.told).toEqual(['elected 9', 'stale', 'proclaimed 10', 'fresh'])
  })

  test('is not stale while the watch tells late what a reading has shown', async () => {
    const {queue} = await observed()
    for (let value = 10; value < 40; value++) {
      queue.proclaim(value, false)
      await queue.time.advance(6000)
      queue.tellStep(value)
    }
    expect(queue.told).not.toContain('stale')
  })
})

describe('a watch that does not tell what a reading has shown', () => {
  test('is opened anew after a while', async () => {
    const {queue} = await observed()
    queue.proclaim(10, false)
    await queue.time.advance(6249)
    expect(queue.followed).toEqual([9n])
    await queue.time.advance(1)
    expect(queue.followed).toEqual([9n, 9n])
    queue.tellStep(10)
    await queue.time.advance(60_000)
    expect(queue.followed).toEqual([9n, 9n])
    expect(queue.told).toEqual(['elected 9', 'proclaimed 10'])
  })

  test('is given up if that did not help: the queue is read, before what was told is stale', async () => {
    const {queue} = await observed()
    queue.proclaim(10, false)
    await queue.time.advance(7500)
    expect(queue.followed).toEqual([9n, 9n, 10n])
    expect(queue.told).toEqual(['elected 9', 'gap', 'proclaimed 10'])
    await queue.time.advance(60_000)
    expect(queue.told).toEqual(['elected 9', 'gap', 'proclaimed 10'])
  })
})

test('does not go back with an etcd that was set back to an earlier revision', async () => {
  const {queue, observer} = await observed()
  queue.proclaim(20)
  queue.revision = 12n
  await queue.time.advance(5000)
  expect(observer.error).toMatchObject({
    code: 'unavailable',
    message: 'etcd is at revision 12 after it was at 20: it was set back, as by restoring a backup',
  })
})
