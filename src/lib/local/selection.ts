import {type Compare, type KeyValue, type RangeRequest, type SortTarget} from './values.ts'

/** Which of the keys of a range are asked for, and how; `found` is in the order of the keys. */
export function pickedKeys(
  request: RangeRequest,
  found: readonly KeyValue[],
): {kvs: readonly KeyValue[]; more: boolean; count: number} {
  const count = found.length
  if (request.countOnly) return {kvs: [], more: false, count}
  const {limit, sortOrder, sortTarget} = request
  // etcd takes what the limit allows, and one more, before it sorts, if neither an order nor a bound is asked for.
  const isCutFirst = limit > 0 && sortOrder === 'None' && !hasBounds(request)
  const bounded = (isCutFirst ? found.slice(0, limit + 1) : found).filter((kv) => isInBounds(kv, request))
  const sorted =
    sortTarget === 'Key' && sortOrder !== 'Descend'
      ? bounded
      : bounded.sort(
          sortOrder === 'Descend'
            ? (one, other) => order(sortTarget, other, one)
            : (one, other) => order(sortTarget, one, other),
        )
  const more = limit > 0 && sorted.length > limit
  const kvs = more ? sorted.slice(0, limit) : sorted
  return {kvs: request.keysOnly ? kvs.map((kv) => ({...kv, value: Buffer.alloc(0)})) : kvs, more, count}
}

function hasBounds(request: RangeRequest): boolean {
  const {minModRevision, maxModRevision, minCreateRevision, maxCreateRevision} = request
  return [minModRevision, maxModRevision, minCreateRevision, maxCreateRevision].some((bound) => bound !== 0)
}

function isInBounds({modRevision, createRevision}: KeyValue, request: RangeRequest): boolean {
  const {minModRevision, maxModRevision, minCreateRevision, maxCreateRevision} = request
  return (
    (maxModRevision === 0 || modRevision <= maxModRevision) &&
    (minModRevision === 0 || modRevision >= minModRevision) &&
    (maxCreateRevision === 0 || createRevision <= maxCreateRevision) &&
    (minCreateRevision === 0 || createRevision >= minCreateRevision)
  )
}

function order(target: SortTarget, one: KeyValue, other: KeyValue): number {
  switch (target) {
    case 'Key':
      return one.key.compare(other.key)
    case 'Version':
      return one.version - other.version
    case 'Create':
      return one.createRevision - other.createRevision
    case 'Mod':
      return one.modRevision - other.modRevision
    case 'Value':
      return one.value.compare(other.value)
  }
}

/** A missing key has these numbers, but no value: nothing holds of that. */
const missing = {version: 0, createRevision: 0, modRevision: 0, lease: 0n, value: Buffer.alloc(0)}

/** Whether a comparison holds of all keys of its range. */
export function compareHolds(compare: Compare, found: readonly KeyValue[]): boolean {
  if (found.length === 0) return compare.target !== 'Value' && holds(compare, missing)
  return found.every((kv) => holds(compare, kv))
}

function holds(compare: Compare, kv: Omit<KeyValue, 'key'>): boolean {
  const difference = differenceOf(compare, kv)
  switch (compare.result) {
    case 'Equal':
      return difference === 0
    case 'NotEqual':
      return difference !== 0
    case 'Greater':
      return difference > 0
    case 'Less':
      return difference < 0
  }
}

function differenceOf(compare: Compare, kv: Omit<KeyValue, 'key'>): number {
  switch (compare.target) {
    case 'Version':
      return kv.version - compare.operand
    case 'Create':
      return kv.createRevision - compare.operand
    case 'Mod':
      return kv.modRevision - compare.operand
    case 'Lease':
      return kv.lease === compare.operand ? 0 : kv.lease > compare.operand ? 1 : -1
    case 'Value':
      return kv.value.compare(compare.operand)
  }
}
