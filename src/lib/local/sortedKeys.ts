import type {KeyRange} from './values.ts'

/** A key as text whose order is that of its bytes. */
export type KeyText = string & {readonly isKeyText: true}

export const keyText = (key: Buffer): KeyText => key.toString('latin1') as KeyText

/** The ends of a range, the upper one not in it; undefined if there is none. */
export interface Bounds {
  readonly from: KeyText
  readonly to: KeyText | undefined
}

/** One key is the range up to the next possible one, which has a zero byte more. */
export function boundsOf({key, rangeEnd}: KeyRange): Bounds {
  const from = keyText(key)
  if (rangeEnd.length === 0) return {from, to: `${from}\0` as KeyText}
  return {from, to: rangeEnd.length === 1 && rangeEnd[0] === 0 ? undefined : keyText(rangeEnd)}
}

export const isWithin = (text: KeyText, {from, to}: Bounds): boolean =>
  text >= from && (to === undefined || text < to)

/** A set of keys in order. */
export class SortedKeys {
  readonly #keys: KeyText[]

  /** @param keys in order, each once */
  constructor(keys: readonly KeyText[]) {
    this.#keys = [...keys]
  }

  add(key: KeyText): void {
    const at = this.#position(key)
    if (this.#keys[at] !== key) this.#keys.splice(at, 0, key)
  }

  remove(key: KeyText): void {
    const at = this.#position(key)
    if (this.#keys[at] === key) this.#keys.splice(at, 1)
  }

  /** Those of a range, in order. */
  within({from, to}: Bounds): readonly KeyText[] {
    const first = this.#position(from)
    const end = to === undefined ? this.#keys.length : this.#position(to)
    return this.#keys.slice(first, end)
  }

  get all(): readonly KeyText[] {
    return this.#keys
  }

  /** Where the key is, or would be. */
  #position(key: KeyText): number {
    let low = 0
    let high = this.#keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const there = this.#keys[middle]
      if (there !== undefined && there < key) low = middle + 1
      else high = middle
    }
    return low
  }
}
