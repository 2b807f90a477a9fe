import type {Clock} from './clock.ts'
import {LeashError} from './errors.ts'
import type {Revision} from './identifiers.ts'
import {type Limit, withLimit} from './limit.ts'
import {
  type Change,
  type ObservedQueue,
  type QueueReading,
  type Step,
  applyReading,
  applyStep,
  beginObservation,
  isUpToDate,
} from './observation.ts'
import {outOfReach} from './outOfReach.ts'
import type {Server} from './ports.ts'
import {underSignals} from './signals.ts'

/** What observing needs of etcd. Retries and rejects as `LeaseStore`. */
export interface QueueReader {
  readonly server: Server

  /** Why the latest attempt that failed did so, for messages. */
  readonly lastFailure: string

  /** Reads all tickets of a queue, or the first one: linearizable, one request. */
  readQueue(queuePrefix: string, part: 'all' | 'first', signal: AbortSignal): Promise<QueueReading>

  /**
   * Hands over what happens to a queue after a revision, revision by revision, each once and whole. A stream that breaks is
   * opened again where it broke off. Resolves only when etcd has compacted what comes next.
   */
  follow(
    queuePrefix: string,
    afterRevision: Revision,
    onStep: (step: Step) => void,
    signal: AbortSignal,
  ): Promise<'compacted'>
}

/** What an observer is told beside the changes. */
export type Observed =
  | Change
  /** etcd could not tell what happened from here on up to the next change: some changes may be missing. */
  | {kind: 'gap'; afterRevision: Revision}
  /** Nobody has confirmed for so long what was told. */
  | {kind: 'stale'; afterMs: number; reason: string}
  /** It is confirmed again. */
  | {kind: 'fresh'}

export interface Observation {
  queuePrefix: string
  /** How long etcd may be out of reach at the start. */
  connectTimeoutMs: number
  /** How long what was told counts without another proof. */
  staleAfterMs: number
}

export interface ObserverPorts {
  reader: QueueReader
  clock: Clock
  tell: (news: Observed) => void
}

/** Proofs are asked for so often in the time after which what was told is stale: two of them may be lost or late. */
const proofsPerStaleTime = 3
/** The part of the time between two proofs that a watch has to tell what one has shown; it takes milliseconds as a rule. */
const catchUpPart = 1 / 4

const etcdUnreachable = Symbol('etcd unreachable')
const watchIsBehind = Symbol('watch is behind')
const watchMisses = Symbol('watch misses something')

/**
 * Tells who is first in a queue, and then each change, in order and once, until `signal` is aborted; rejects with its reason.
 * Outages are waited out, but for one at the start.
 *
 * @throws LeashError `unavailable` if etcd was out of reach for `connectTimeoutMs` at the start, or has been set back to an
 *   earlier revision; `permission` when etcd refuses
 */
export async function observe(
  observation: Observation,
  ports: ObserverPorts,
  signal: AbortSignal,
): Promise<never> {
  const reading = await readPresent(observation, 'all', ports, signal)
  const {queue, change} = beginObservation(reading)
  ports.tell(change)
  const observer = new Observer(observation, ports, queue)
  const over = new AbortController()
  try {
    observer.prove(reading)
    return await underSignals([signal, over.signal], (inner) =>
      Promise.race([observer.follow(inner), observer.seekProofs(inner)]),
    )
  } finally {
    over.abort()
    observer.close()
  }
}

/**
 * The tickets of a queue as they are now, or the first one.
 *
 * @throws LeashError `unavailable` if etcd was out of reach for `connectTimeoutMs`; `permission` when it refuses
 */
export async function readPresent(
  {queuePrefix, connectTimeoutMs}: Omit<Observation, 'staleAfterMs'>,
  part: 'all' | 'first',
  {reader, clock}: Omit<ObserverPorts, 'tell'>,
  signal?: AbortSignal,
): Promise<QueueReading> {
  const limit: Limit = {atMs: clock.elapsedMs() + connectTimeoutMs, reason: etcdUnreachable}
  try {
    return await withLimit(clock, limit, signal, (limited) => reader.readQueue(queuePrefix, part, limited))
  } catch (error) {
    if (error !== etcdUnreachable) throw error
    throw outOfReach(reader)
  }
}

class Observer {
  readonly #observation: Observation
  readonly #ports: ObserverPorts
  #queue: ObservedQueue
  /** The latest moment of which it is known that what was told was true. */
  #provenAtMs = -Infinity
  #isStale = false
  /** A reading that shows more than we have been told by the watch. */
  #ahead: QueueReading | undefined
  /** Whether the watch that stands was opened because of that. */
  #isReopened = false
  /** Ends the wait for the moment when what was told is stale. */
  #alarm = new AbortController()
  /** Ends the watch that stands. */
  #watch = new AbortController()

  constructor(observation: Observation, ports: ObserverPorts, queue: ObservedQueue) {
    this.#observation = observation
    this.#ports = ports
    this.#queue = queue
  }

  /** Tells changes as they come. */
  async follow(signal: AbortSignal): Promise<never> {
    const {queuePrefix} = this.#observation
    const {reader} = this.#ports
    for (;;) {
      this.#watch = new AbortController()
      try {
        await underSignals([signal, this.#watch.signal], (watching) =>
          reader.follow(queuePrefix, this.#queue.revision, (step) => this.#onStep(step), watching),
        )
      } catch (error) {
        if (error === watchIsBehind) continue
        if (error !== watchMisses) throw error
      }
      this.#onReading(await reader.readQueue(queuePrefix, 'all', signal))
    }
  }

  /**
   * Asks again and again whether what was told is true. A watch that does not tell in time what a reading has shown is opened
   * anew, for its member may be cut off while others answer; if that does not help, the event is lost, and the queue is read.
   */
  async seekProofs(signal: AbortSignal): Promise<never> {
    const {queuePrefix, staleAfterMs} = this.#observation
    const {reader, clock} = this.#ports
    const pauseMs = staleAfterMs / proofsPerStaleTime
    for (;;) {
      const isBehind = this.#ahead !== undefined
      await clock.sleepUntil(clock.elapsedMs() + (isBehind ? pauseMs * catchUpPart : pauseMs), signal)
      if (isBehind) this.#mendWatch()
      const {revision} = this.#queue
      const reading = await reader.readQueue(queuePrefix, 'first', signal)
      refuseSetBack(revision, reading.revision, reader.server)
      this.prove(reading)
    }
  }

  /** Takes a reading as a proof of what was told; if it shows more, as one for later. */
  prove(reading: QueueReading): void {
    const isProof = isUpToDate(this.#queue, reading)
    this.#ahead = isProof ? undefined : reading
    if (!isProof) return
    this.#isReopened = false
    this.#onProof(reading.sentAtMs)
  }

  close(): void {
    this.#alarm.abort()
  }

  #mendWatch(): void {
    if (this.#ahead === undefined) return
    this.#watch.abort(this.#isReopened ? watchMisses : watchIsBehind)
    this.#isReopened = true
  }

  #onStep(step: Step): void {
    const {queue, change} = applyStep(this.#queue, step)
    this.#queue = queue
    if (change !== undefined) this.#ports.tell(change)
    if (this.#ahead !== undefined) this.prove(this.#ahead)
  }

  #onReading(reading: QueueReading): void {
    const {revision: afterRevision} = this.#queue
    refuseSetBack(afterRevision, reading.revision, this.#ports.reader.server)
    const {queue, change, isGap} = applyReading(this.#queue, reading)
    this.#queue = queue
    if (isGap) this.#ports.tell({kind: 'gap', afterRevision})
    if (change !== undefined) this.#ports.tell(change)
    this.prove(reading)
  }

  #onProof(atMs: number): void {
    if (atMs <= this.#provenAtMs) return
    const {clock, tell} = this.#ports
    this.#provenAtMs = atMs
    const staleAtMs = atMs + this.#observation.staleAfterMs
    if (this.#isStale && clock.elapsedMs() < staleAtMs) {
      this.#isStale = false
      tell({kind: 'fresh'})
    }
    this.#alarm.abort()
    this.#alarm = new AbortController()
    clock.sleepUntil(staleAtMs, this.#alarm.signal).then(
      () => this.#onStale(),
      () => {},
    )
  }

  #onStale(): void {
    if (this.#isStale) return
    this.#isStale = true
    const {clock, reader, tell} = this.#ports
    tell({kind: 'stale', afterMs: clock.elapsedMs() - this.#provenAtMs, reason: reader.lastFailure})
  }
}

/** A linearizable read shows at least what was known when it was sent; one that does not comes from another past. */
function refuseSetBack(known: Revision, shown: Revision, {name}: Server): void {
  if (shown >= known) return
  const message = `${name} is at revision ${shown} after it was at ${known}: it was set back, as by restoring a backup`
  throw new LeashError('unavailable', message, 'begin anew')
}
