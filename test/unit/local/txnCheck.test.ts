import {expect, test} from 'vitest'
import {checkPut, checkTxn} from '../../../src/lib/local/txnCheck.ts'
import type {Operation, TxnRequest} from '../../../src/lib/local/values.ts'
import {createdAt, putOf, rangeOf} from '../../support/localValues.ts'

const put = (key: string, value = ''): Operation => ({is: 'put', request: putOf(key, value)})
const reads = (count: number): Operation[] =>
  Array.from({length: count}, () => ({is: 'range', request: rangeOf('a')}))

const refusedFor = (request: Partial<TxnRequest>): (() => void) => {
  return () => checkTxn({compare: [], success: [], failure: [], ...request})
}

test('a request without a key is refused', () => {
  expect(() => checkPut(putOf(''))).toThrow('key is not provided')
  expect(refusedFor({compare: [createdAt('', 0)]})).toThrow('key is not provided')
  expect(refusedFor({failure: [put('')]})).toThrow('key is not provided')
  expect(refusedFor({success: [{is: 'nothing'}]})).toThrow('key not found')
})

test('a value or a lease beside the wish to keep it is refused', () => {
  expect(() => checkPut(putOf('a', 'value', {ignoreValue: true}))).toThrow('value is provided')
  expect(() => checkPut(putOf('a', '', {ignoreLease: true, lease: 1n}))).toThrow('lease is provided')
})

test('128 operations are taken and 129 are not, those of nested ones with them', () => {
  expect(refusedFor({success: reads(128)})).not.toThrow()
  expect(refusedFor({failure: reads(129)})).toThrow('too many operations in txn request')
  const nested = (count: number): Operation => ({
    is: 'txn',
    request: {compare: [], success: reads(count), failure: []},
  })
  expect(refusedFor({success: [nested(127)]})).not.toThrow()
  expect(refusedFor({success: [nested(128)]})).toThrow('too many operations')
})

test('more than 1.5 MiB are refused, in one put or in several', () => {
  const value = 'x'.repeat(1024 * 1024)
  expect(() => checkPut(putOf('a', value))).not.toThrow()
  expect(() => checkPut(putOf('a', value + value))).toThrow('request is too large')
  expect(refusedFor({success: [put('a', value)]})).not.toThrow()
  expect(refusedFor({success: [put('a', value)], failure: [put('b', value)]})).toThrow('too large')
})
