import fc from 'fast-check'
import {expect, test} from 'vitest'
import {fencingToken, leaseHex, leaseIdFrom} from '../../../src/lib/core/identifiers.ts'

test('a lease id is a positive int64 that is never zero, whatever the random bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({minLength: 8, maxLength: 8}), (random) => {
      const id = leaseIdFrom(random)
      expect(id > 0n && id < 2n ** 63n).toBe(true)
    }),
  )
})

test('a lease id uses 63 of its random bits', () => {
  expect(leaseIdFrom(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0))).toBe(1n)
  expect(leaseIdFrom(Uint8Array.of(0x80, 0, 0, 0, 0, 0, 0, 0))).toBe(1n)
  expect(leaseIdFrom(Uint8Array.of(0x81, 2, 3, 4, 5, 6, 7, 8))).toBe(0x0102030405060708n)
  expect(leaseIdFrom(new Uint8Array(8).fill(0xff))).toBe(2n ** 63n - 1n)
})

test('in keys a lease id is lower-case hex without padding', () => {
  expect(leaseHex(leaseIdFrom(Uint8Array.of(0, 0, 0, 0, 0, 0, 0xab, 0xcd)))).toBe('abcd')
})

test('a fencing token is the create revision, larger than a JS number can tell', () => {
  expect(fencingToken(2n ** 62n + 1n)).toBe(2n ** 62n + 1n)
})
