import type {Change, Keyspace} from './keyspace.ts'
import {type Bounds, boundsOf, isWithin, keyText} from './sortedKeys.ts'
import type {Event, WatchAnswer, WatchCreateRequest} from './values.ts'

/** etcd's: revisions of the past in one answer. */
const revisionsAtOnce = 1000
/** From here on an answer is split, if that was asked for: etcd's largest request, and its allowance of 512 KiB for the frame. */
const mostBytes = 2 * 1024 * 1024
/** What an event takes beside its bytes, generously. */
const eventBytes = 64

/** In place of the id of a watch that is none. */
const noWatch = -1

interface Watch {
  readonly id: number
  readonly bounds: Bounds
  /** The first revision that counts. */
  readonly fromRevision: number
  readonly request: WatchCreateRequest
}

/** Tells what happened and what happens to whom it concerns. */
export class WatchHub {
  readonly #keyspace: Keyspace
  readonly #streams = new Set<WatchStream>()

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace
  }

  /** @param send gets the answers in their order, while the call that causes them goes on */
  open(send: (answer: WatchAnswer) => void): WatchStream {
    const stream: WatchStream = new WatchStream(this.#keyspace, send, () => this.#streams.delete(stream))
    this.#streams.add(stream)
    return stream
  }

  /** Tells all watches what has just changed. */
  publish(change: Change): void {
    if (change.events.length > 0) for (const stream of this.#streams) stream.publish(change)
  }
}

/** The watches of one client's stream. */
export class WatchStream {
  readonly #keyspace: Keyspace
  readonly #send: (answer: WatchAnswer) => void
  readonly #onClose: () => void
  readonly #watches = new Map<number, Watch>()
  #nextId = 0

  constructor(keyspace: Keyspace, send: (answer: WatchAnswer) => void, onClose: () => void) {
    this.#keyspace = keyspace
    this.#send = send
    this.#onClose = onClose
  }

  /** Begins a watch, and tells it what has happened since the revision that it asks for. */
  create(asked: WatchCreateRequest): void {
    const {revision} = this.#keyspace
    // etcd takes the smallest key in the place of none.
    const request = asked.key.length > 0 ? asked : {...asked, key: Buffer.alloc(1)}
    const refused = this.#refused(request)
    if (refused !== undefined) {
      const answer = {revision, watchId: noWatch, created: true, canceled: true, events: []}
      return this.#send({...answer, cancelReason: refused})
    }
    const id = request.watchId === 0 ? this.#newId() : request.watchId
    const {startRevision} = request
    const fromRevision = startRevision === 0 ? revision + 1 : startRevision
    const watch = {id, bounds: boundsOf(request), fromRevision, request}
    this.#send({revision, watchId: id, created: true, events: []})
    const {compactedRevision} = this.#keyspace
    if (fromRevision < compactedRevision)
      return this.#send({
        revision: 0,
        watchId: id,
        canceled: true,
        compactRevision: compactedRevision,
        events: [],
      })
    this.#watches.set(id, watch)
    if (fromRevision <= revision) this.#tellPast(watch)
  }

  cancel(id: number): void {
    if (!this.#watches.delete(id)) return
    this.#send({revision: this.#keyspace.revision, watchId: id, canceled: true, events: []})
  }

  /** Says up to where everything was told; as etcd, not while a watch waits for a revision to come, and not without a watch. */
  progress(): void {
    const {revision} = this.#keyspace
    const watches = [...this.#watches.values()]
    if (watches.length === 0 || watches.some(({request}) => request.startRevision > revision)) return
    this.#send({revision, watchId: noWatch, events: []})
  }

  publish({revision, events}: Change): void {
    for (const watch of this.#watches.values()) {
      if (revision >= watch.fromRevision) this.#tell(watch, revision, this.#seenBy(watch, events))
    }
  }

  /** No answer comes after it. */
  close(): void {
    this.#watches.clear()
    this.#onClose()
  }

  #refused({watchId, key, rangeEnd}: WatchCreateRequest): string | undefined {
    const isUpToLast = rangeEnd.length === 1 && rangeEnd[0] === 0
    if (rangeEnd.length > 0 && !isUpToLast && key.compare(rangeEnd) >= 0)
      return 'mvcc: watcher range is empty'
    if (watchId !== 0 && this.#watches.has(watchId))
      return 'mvcc: duplicate watch ID provided on the WatchStream'
    return undefined
  }

  #newId(): number {
    while (this.#watches.has(this.#nextId)) this.#nextId++
    return this.#nextId++
  }

  #tellPast(watch: Watch): void {
    const {revision} = this.#keyspace
    const steps = this.#keyspace.since(watch.fromRevision)
    const seen = steps.map(({events}) => this.#seenBy(watch, events)).filter(({length}) => length > 0)
    for (let at = 0; at < seen.length; at += revisionsAtOnce)
      this.#tell(watch, revision, seen.slice(at, at + revisionsAtOnce).flat())
  }

  #seenBy({bounds, request}: Watch, events: readonly Event[]): Event[] {
    const {filters, prevKv} = request
    const isFiltered = ({type}: Event): boolean => filters.includes(type === 'put' ? 'Noput' : 'Nodelete')
    const seen = events.filter((event) => isWithin(keyText(event.kv.key), bounds) && !isFiltered(event))
    return prevKv ? seen.map((event) => this.#withPrevious(event)) : seen
  }

  #withPrevious(event: Event): Event {
    const {key, createRevision, modRevision} = event.kv
    if (event.type === 'put' && createRevision === modRevision) return event
    return {...event, prevKv: this.#keyspace.at(key, modRevision - 1)}
  }

  #tell({id: watchId, request}: Watch, revision: number, events: readonly Event[]): void {
    if (events.length === 0) return
    const parts = request.fragment ? fragments(events) : [events]
    for (const [index, part] of parts.entries()) {
      const isLast = index === parts.length - 1
      this.#send({revision, watchId, events: part, ...(!isLast && {fragment: true})})
    }
  }
}

/** Events in parts that are as large as they may be, or have one event. */
function fragments(events: readonly Event[]): (readonly Event[])[] {
  const parts: Event[][] = []
  let bytes = mostBytes
  for (const event of events) {
    const size = sizeOf(event.kv) + (event.prevKv === undefined ? 0 : sizeOf(event.prevKv))
    const part = parts.at(-1)
    if (part === undefined || bytes + size >= mostBytes) {
      parts.push([event])
      bytes = size
    } else {
      part.push(event)
      bytes += size
    }
  }
  return parts
}

function sizeOf({key, value}: {key: Buffer; value: Buffer}): number {
  return key.length + value.length + eventBytes
}
