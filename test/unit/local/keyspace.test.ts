import {describe, expect, test} from 'vitest'
import {Keyspace} from '../../../src/lib/local/keyspace.ts'
import type {Operation, RangeAnswer, TxnRequest} from '../../../src/lib/local/values.ts'
import {createdAt, deletionOf, putOf, rangeOf, toLast} from '../../support/localValues.ts'

const newKeyspace = (): Keyspace => new Keyspace({revision: 1, keys: [], lastDeletions: []})
const hasLease = (lease: bigint): boolean => lease === 7n

/** Keys and values, as `key=value`. */
const texts = ({kvs}: RangeAnswer): string[] => kvs.map(({key, value}) => `${String(key)}=${String(value)}`)

const put = (keyspace: Keyspace, key: string, value = ''): number =>
  keyspace.put(putOf(key, value), hasLease).answer.revision

const operation = {
  put: (...args: Parameters<typeof putOf>): Operation => ({is: 'put', request: putOf(...args)}),
  range: (...args: Parameters<typeof rangeOf>): Operation => ({is: 'range', request: rangeOf(...args)}),
  delete: (...args: Parameters<typeof deletionOf>): Operation => ({
    is: 'delete',
    request: deletionOf(...args),
  }),
  txn: (request: Partial<TxnRequest>): Operation => ({is: 'txn', request: txn(request)}),
}

const txn = (request: Partial<TxnRequest>): TxnRequest => ({
  compare: [],
  success: [],
  failure: [],
  ...request,
})

describe('a key', () => {
  test('keeps the revision of its creation, and counts its versions, until it is deleted', () => {
    const keyspace = newKeyspace()
    put(keyspace, 'a', 'one')
    put(keyspace, 'a', 'two')
    const [there] = keyspace.range(rangeOf('a')).kvs
    expect(there).toMatchObject({createRevision: 2, modRevision: 3, version: 2})
    keyspace.delete(deletionOf('a'))
    put(keyspace, 'a', 'three')
    const [again] = keyspace.range(rangeOf('a')).kvs
    expect(again).toMatchObject({createRevision: 5, modRevision: 5, version: 1})
  })

  test('is not put on a lease that is not there', () => {
    const keyspace = newKeyspace()
    expect(() => keyspace.put(putOf('a', '', {lease: 8n}), hasLease)).toThrow('requested lease not found')
    const both = putOf('a', '', {lease: 8n, ignoreValue: true})
    expect(() => keyspace.put(both, hasLease)).toThrow('requested lease not found')
    expect(() => keyspace.txn(txn({success: [{is: 'put', request: both}]}), hasLease)).toThrow(
      'key not found',
    )
    expect(keyspace.revision).toBe(1)
    keyspace.put(putOf('a', '', {lease: 7n}), hasLease)
    expect(keyspace.range(rangeOf('a')).kvs[0]?.lease).toBe(7n)
  })

  test('keeps its value or its lease if it is told to, and is refused if there is none', () => {
    const keyspace = newKeyspace()
    const keeping = putOf('a', '', {ignoreValue: true})
    expect(() => keyspace.put(keeping, hasLease)).toThrow('key not found')
    keyspace.put(putOf('a', 'one', {lease: 7n}), hasLease)
    keyspace.put(keeping, hasLease)
    expect(keyspace.range(rangeOf('a')).kvs[0]).toMatchObject({value: Buffer.from('one'), lease: 0n})
    keyspace.put(putOf('a', 'two', {lease: 7n}), hasLease)
    keyspace.put(putOf('a', 'three', {ignoreLease: true}), hasLease)
    expect(keyspace.range(rangeOf('a')).kvs[0]).toMatchObject({value: Buffer.from('three'), lease: 7n})
  })
})

describe('a range', () => {
  const keyspace = newKeyspace()
  for (const key of ['b', 'a', 'c\xff', 'c', 'd', 'c/1']) put(keyspace, key, `of ${key}`)
  put(keyspace, 'a', 'newer')
  const keysOf = (answer: RangeAnswer): string[] => answer.kvs.map(({key}) => key.toString())

  test('goes up to its end, to the last key, or is one key', () => {
    expect(keysOf(keyspace.range(rangeOf('b')))).toEqual(['b'])
    expect(keysOf(keyspace.range(rangeOf('b', {rangeEnd: Buffer.from('d')})))).toEqual([
      'b',
      'c',
      'c/1',
      'c\xff',
    ])
    expect(keysOf(keyspace.range(rangeOf('c/', {rangeEnd: toLast})))).toEqual(['c/1', 'c\xff', 'd'])
    expect(keysOf(keyspace.range(rangeOf('d', {rangeEnd: Buffer.from('b')})))).toEqual([])
  })

  test('counts all its keys, whatever is shown of them', () => {
    const all = {rangeEnd: toLast}
    expect(keyspace.range(rangeOf('a', {...all, limit: 2}))).toMatchObject({count: 6, more: true})
    expect(keyspace.range(rangeOf('a', {...all, limit: 6}))).toMatchObject({count: 6, more: false})
    expect(keyspace.range(rangeOf('a', {...all, countOnly: true}))).toMatchObject({count: 6, kvs: []})
    const bounded = keyspace.range(rangeOf('a', {...all, maxCreateRevision: 3}))
    expect(bounded.count).toBe(6)
    expect(keysOf(bounded)).toEqual(['a', 'b'])
  })

  test('is sorted before it is cut to its limit', () => {
    const all = {rangeEnd: toLast, sortTarget: 'Create', limit: 2} as const
    expect(keysOf(keyspace.range(rangeOf('a', {...all, sortOrder: 'Ascend'})))).toEqual(['b', 'a'])
    expect(keysOf(keyspace.range(rangeOf('a', {...all, sortOrder: 'Descend'})))).toEqual(['c/1', 'd'])
  })

  test('without values has none', () => {
    expect(texts(keyspace.range(rangeOf('a', {keysOnly: true})))).toEqual(['a='])
    expect(texts(keyspace.range(rangeOf('a')))).toEqual(['a=newer'])
  })
})

describe('the past', () => {
  const past = (keyspace: Keyspace, revision: number): string[] =>
    texts(keyspace.range(rangeOf('a', {rangeEnd: toLast, revision})))

  test('is as it was, deleted keys and all', () => {
    const keyspace = newKeyspace()
    put(keyspace, 'a', 'one')
    put(keyspace, 'b', 'one')
    put(keyspace, 'a', 'two')
    keyspace.delete(deletionOf('b'))
    expect(past(keyspace, 2)).toEqual(['a=one'])
    expect(past(keyspace, 3)).toEqual(['a=one', 'b=one'])
    expect(past(keyspace, 4)).toEqual(['a=two', 'b=one'])
    expect(past(keyspace, 5)).toEqual(['a=two'])
  })

  test('is refused below the compaction, and the future above the present', () => {
    const keyspace = newKeyspace()
    for (const value of ['one', 'two', 'three']) put(keyspace, 'a', value)
    keyspace.compact(3)
    expect(() => past(keyspace, 2)).toThrow('required revision has been compacted')
    expect(past(keyspace, 3)).toEqual(['a=two'])
    expect(() => past(keyspace, 5)).toThrow('required revision is a future revision')
    expect(() => keyspace.compact(3)).toThrow('required revision has been compacted')
    expect(() => keyspace.compact(5)).toThrow('required revision is a future revision')
  })

  test('is forgotten when it has grown too long, and the present is not', () => {
    const keyspace = newKeyspace()
    put(keyspace, 'still', 'there')
    for (let round = 0; round < 12_000; round++) {
      put(keyspace, `ticket ${round}`)
      keyspace.delete(deletionOf(`ticket ${round}`))
    }
    expect(keyspace.compactedRevision).toBeGreaterThan(keyspace.revision - 10_001)
    expect(keyspace.since(keyspace.compactedRevision).length).toBeLessThan(10_001)
    expect(past(keyspace, keyspace.compactedRevision)).toContain('still=there')
  })

  test('that is large is forgotten, too', () => {
    const keyspace = newKeyspace()
    for (let round = 0; round < 100; round++) put(keyspace, 'a', 'x'.repeat(1024 * 1024))
    expect(keyspace.revision - keyspace.compactedRevision).toBeLessThan(33)
  })
})

describe('a transaction', () => {
  test('changes everything at one revision, and sees what it has changed', () => {
    const keyspace = newKeyspace()
    put(keyspace, 'old')
    const {answer, change} = keyspace.txn(
      txn({
        compare: [createdAt('new', 0)],
        success: [
          operation.put('new', 'value'),
          operation.delete('old'),
          operation.range('a', {rangeEnd: toLast}),
        ],
      }),
      hasLease,
    )
    expect(answer).toMatchObject({succeeded: true, revision: 3})
    expect(change.events.map(({type, kv}) => `${type} ${kv.key.toString()} ${kv.modRevision}`)).toEqual([
      'put new 3',
      'delete old 3',
    ])
    const [, , seen] = answer.responses
    expect(seen?.is === 'range' && texts(seen.answer)).toEqual(['new=value'])
  })

  test('takes the other side if any comparison fails, and costs no revision if it changes nothing', () => {
    const keyspace = newKeyspace()
    put(keyspace, 'a')
    const request = txn({
      compare: [createdAt('a', 2), createdAt('b', 2)],
      success: [operation.put('a')],
      failure: [operation.range('a'), operation.delete('b')],
    })
    const {answer, change} = keyspace.txn(request, hasLease)
    expect(answer).toMatchObject({succeeded: false, revision: 2})
    expect(change).toEqual({revision: 2, events: []})
  })

  test('compares before it changes anything, within nested ones as well', () => {
    const keyspace = newKeyspace()
    const inner = {compare: [createdAt('a', 0)], success: [operation.put('b')]}
    const {answer} = keyspace.txn(txn({success: [operation.put('a'), operation.txn(inner)]}), hasLease)
    expect(answer.responses[1]).toMatchObject({is: 'txn', answer: {succeeded: true}})
    expect(keyspace.range(rangeOf('b')).count).toBe(1)
  })

  test('compares every key of a range, and a missing value with nothing', () => {
    const keyspace = newKeyspace()
    put(keyspace, 'p/1')
    put(keyspace, 'p/2')
    const range = {key: Buffer.from('p/'), rangeEnd: Buffer.from('p0'), result: 'Greater'} as const
    const succeeds = (compare: TxnRequest['compare'][number]): boolean =>
      keyspace.txn(txn({compare: [compare]}), hasLease).answer.succeeded
    expect(succeeds({...range, target: 'Create', operand: 1})).toBe(true)
    expect(succeeds({...range, target: 'Create', operand: 2})).toBe(false)
    const missing = {...createdAt('none', 0), target: 'Value'} as const
    expect(succeeds({...missing, result: 'NotEqual', operand: Buffer.from('x')})).toBe(false)
  })

  test('that is refused has changed nothing', () => {
    const keyspace = newKeyspace()
    const refusedFor = (...success: Operation[]): (() => unknown) => {
      return () => keyspace.txn(txn({success}), hasLease)
    }
    expect(refusedFor(operation.put('a'), operation.put('b', '', {lease: 8n}))).toThrow('lease not found')
    expect(refusedFor(operation.put('a'), operation.range('a', {revision: 9}))).toThrow('future revision')
    expect(refusedFor(operation.put('a'), operation.put('a'))).toThrow('duplicate key')
    expect(refusedFor(operation.delete('a', {rangeEnd: Buffer.from('c')}), operation.put('b'))).toThrow(
      'duplicate key',
    )
    expect(refusedFor(operation.put('a'), operation.txn({failure: [operation.put('a')]}))).toThrow(
      'duplicate key',
    )
    expect(keyspace.revision).toBe(1)
  })

  test('may put the same key on either side of a nested one', () => {
    const keyspace = newKeyspace()
    const inner = {success: [operation.put('a', 'yes')], failure: [operation.put('a', 'no')]}
    keyspace.txn(txn({success: [operation.txn(inner)]}), hasLease)
    expect(texts(keyspace.range(rangeOf('a')))).toEqual(['a=yes'])
  })
})
