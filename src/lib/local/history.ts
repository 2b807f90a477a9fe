import {type Bounds, type KeyText, SortedKeys} from './sortedKeys.ts'
import type {Event, KeyValue} from './values.ts'

/** All events of one revision, in the order in which they happened. */
interface Step {
  readonly revision: number
  readonly events: readonly Event[]
}

/** What the past may take: some thousand locks, or half as much memory as idle Node. */
const mostRevisions = 10_000
export const mostPastBytes = 32 * 1024 * 1024

/**
 * The present and the past of each key, down to the revision that was compacted. Half of the past is forgotten when it has
 * grown too long or too large.
 */
export class History {
  /** Of each key what was put and deleted, the oldest first; what is older than the compaction is gone but for the last. */
  readonly #versions = new Map<KeyText, KeyValue[]>()
  /** The keys that are there now, and those of which anything is known: a queue leaves many dead ones behind. */
  readonly #present: SortedKeys
  readonly #known: SortedKeys
  #steps: Step[] = []
  #bytes = 0
  #compactedRevision: number

  /**
   * @param keys in order
   * @param last below it nothing is known
   */
  constructor(keys: readonly {text: KeyText; kv: KeyValue}[], last: Step) {
    for (const {text, kv} of keys) this.#versions.set(text, [kv])
    const texts = keys.map(({text}) => text)
    this.#present = new SortedKeys(texts)
    this.#known = new SortedKeys(texts)
    this.#compactedRevision = last.revision
    this.end(last)
  }

  /** Below it nothing can be read. */
  get compactedRevision(): number {
    return this.#compactedRevision
  }

  /** All keys that are there. */
  present(): KeyValue[] {
    return this.#present.all.flatMap((text) => this.now(text) ?? [])
  }

  /** A key as it is. */
  now(text: KeyText): KeyValue | undefined {
    const last = this.#versions.get(text)?.at(-1)
    return last === undefined || isDeletion(last) ? undefined : last
  }

  /** A key as it was after a revision. */
  at(text: KeyText, revision: number): KeyValue | undefined {
    const last = this.#versions.get(text)?.findLast(({modRevision}) => modRevision <= revision)
    return last === undefined || isDeletion(last) ? undefined : last
  }

  /** The keys of a range as they are, or as they were after a revision. */
  within(bounds: Bounds, revision?: number): KeyValue[] {
    if (revision === undefined) return this.#present.within(bounds).flatMap((text) => this.now(text) ?? [])
    return this.#known.within(bounds).flatMap((text) => this.at(text, revision) ?? [])
  }

  /** Notes a put or a deletion: of a revision that is the latest, or a new one. */
  add(text: KeyText, event: Event): void {
    const versions = this.#versions.get(text)
    if (versions === undefined) {
      this.#versions.set(text, [event.kv])
      this.#known.add(text)
    } else versions.push(event.kv)
    if (event.type === 'put') this.#present.add(text)
    else this.#present.remove(text)
  }

  /** Notes that all events of a revision have been added. */
  end(step: Step): void {
    this.#steps.push(step)
    this.#bytes += sizeOfEvents(step.events)
    if (this.#steps.length > mostRevisions || this.#bytes > mostPastBytes) this.#forgetHalf()
  }

  /** What happened from a revision on. */
  since(revision: number): readonly Step[] {
    const first = this.#steps.findIndex((step) => step.revision >= revision)
    return first < 0 ? [] : this.#steps.slice(first)
  }

  /** Forgets what is older than a revision. */
  compact(revision: number): void {
    this.#compactedRevision = revision
    this.#steps = this.since(revision).slice()
    this.#bytes = this.#steps.reduce((sum, step) => sum + sizeOfEvents(step.events), 0)
    for (const [text, versions] of this.#versions) {
      const kept = versions.findLastIndex(({modRevision}) => modRevision <= revision)
      if (kept < 0) continue
      const from = isDeletion(versions[kept]) ? kept + 1 : kept
      if (from === versions.length) {
        this.#versions.delete(text)
        this.#known.remove(text)
      } else if (from > 0) this.#versions.set(text, versions.slice(from))
    }
  }

  #forgetHalf(): void {
    let bytes = this.#bytes
    let steps = this.#steps.length
    const first = this.#steps.findIndex((step) => {
      if (steps <= mostRevisions / 2 && bytes <= mostPastBytes / 2) return true
      steps--
      bytes -= sizeOfEvents(step.events)
      return false
    })
    const step = this.#steps[first] ?? this.#steps.at(-1)
    if (step !== undefined) this.compact(step.revision)
  }
}

/** A deletion among the versions of a key. */
function isDeletion(kv: KeyValue | undefined): boolean {
  return kv?.version === 0
}

/** The memory that events take, roughly: what their fields take beside the bytes does not vary much. */
export function sizeOfEvents(events: readonly Event[]): number {
  return events.reduce((sum, {kv}) => sum + kv.key.length + kv.value.length + 200, 0)
}
