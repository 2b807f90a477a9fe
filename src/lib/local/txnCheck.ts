import {type KeyText, keyText} from './sortedKeys.ts'
import {
  type KeyRange,
  type Operation,
  type PutRequest,
  type RangeRequest,
  type TxnRequest,
  refusals,
} from './values.ts'

/** etcd's default of `--max-txn-ops`, for each list of a transaction, and in sum down the nested ones. */
const mostOperations = 128

/** etcd's default of `--max-request-bytes`. */
const mostBytes = 1.5 * 1024 * 1024

/** @throws Refusal */
export function checkKey({key}: {key: Buffer}): void {
  if (key.length === 0) throw refusals.emptyKey()
}

/** @throws Refusal */
export function checkRange(request: RangeRequest): void {
  checkKey(request)
}

/** @throws Refusal */
export function checkPut(request: PutRequest): void {
  checkKey(request)
  if (sizeOf(request) > mostBytes) throw refusals.requestTooLarge()
  if (request.ignoreValue && request.value.length > 0) throw refusals.valueProvided()
  if (request.ignoreLease && request.lease !== 0n) throw refusals.leaseProvided()
}

/** @throws Refusal */
export function checkTxn({compare, success, failure}: TxnRequest, operationsLeft = mostOperations): void {
  const count = Math.max(compare.length, success.length, failure.length)
  if (count > operationsLeft) throw refusals.tooManyOperations()
  if (sizeOfAll([...success, ...failure]) > mostBytes) throw refusals.requestTooLarge()
  compare.forEach(checkKey)
  for (const operation of [...success, ...failure]) checkOperation(operation, operationsLeft - count)
}

function checkOperation(operation: Operation, operationsLeft: number): void {
  switch (operation.is) {
    case 'range':
      return checkRange(operation.request)
    case 'put':
      return checkPut(operation.request)
    case 'delete':
      return checkKey(operation.request)
    case 'txn':
      return checkTxn(operation.request, operationsLeft)
    case 'nothing':
      throw refusals.keyNotFound()
  }
}

/** What the puts take of a request, which is most of it. */
function sizeOf({key, value}: PutRequest): number {
  return key.length + value.length
}

function sizeOfAll(operations: readonly Operation[]): number {
  return operations.reduce((sum, one) => {
    if (one.is === 'put') return sum + sizeOf(one.request)
    return one.is === 'txn' ? sum + sizeOfAll([...one.request.success, ...one.request.failure]) : sum
  }, 0)
}

interface Touched {
  readonly puts: Set<KeyText>
  readonly deletions: KeyRange[]
}

/**
 * Refuses operations that put a key twice, or put and delete it, as etcd does: of a deletion of all from a key on, it does not
 * notice that.
 *
 * @throws Refusal
 */
export function duplicateKeys(operations: readonly Operation[]): Touched {
  const deletions = operations.flatMap((one) => (one.is === 'delete' ? [one.request as KeyRange] : []))
  const puts = new Set<KeyText>()
  const add = (key: KeyText, isTwiceFine = false): void => {
    if ((puts.has(key) && !isTwiceFine) || deletions.some((deletion) => covers(deletion, key)))
      throw refusals.duplicateKey()
    puts.add(key)
  }
  for (const operation of operations) {
    if (operation.is !== 'txn') continue
    const success = duplicateKeys(operation.request.success)
    const failure = duplicateKeys(operation.request.failure)
    for (const key of success.puts) add(key)
    // Only one of the two sides is taken.
    for (const key of failure.puts) add(key, success.puts.has(key))
    deletions.push(...success.deletions, ...failure.deletions)
  }
  for (const operation of operations) if (operation.is === 'put') add(keyText(operation.request.key))
  return {puts, deletions}
}

/** By the bytes of the end as they are, so that one zero byte is before all keys and not behind. */
function covers({key, rangeEnd}: KeyRange, text: KeyText): boolean {
  const from = keyText(key)
  return rangeEnd.length === 0 ? from === text : from <= text && text < keyText(rangeEnd)
}
