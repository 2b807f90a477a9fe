import fc from 'fast-check'
import {expect, test} from 'vitest'
import {leaseIdFrom} from '../../../src/lib/core/identifiers.ts'
import {decodeHolder, encodeHolder, markValue} from '../../../src/lib/core/ticket.ts'

const holder = {host: 'build-3', user: 'ci', pid: 4711, since: '2030-01-01T00:00:00.000Z'}

test('a holder is read as it was written', () => {
  const text = fc.string({unit: 'grapheme'})
  fc.assert(
    fc.property(text, text, fc.nat(), text, (host, user, pid, since) => {
      const written = {host, user, pid, since}
      expect(decodeHolder(encodeHolder(written))).toEqual(written)
    }),
  )
})

test.each([
  ['', "what etcd's Go clients write"],
  ['not JSON', 'text'],
  ['null', 'nothing'],
  ['7', 'a number'],
  ['"host"', 'a string'],
  ['[]', 'a list'],
  ['{}', 'an empty object'],
  [JSON.stringify({...holder, pid: '4711'}), 'a pid that is text'],
  [JSON.stringify({...holder, host: null}), 'no host'],
  [JSON.stringify({...holder, user: {}}), 'a user that is no text'],
  [JSON.stringify({...holder, since: 5}), 'a time that is no text'],
  [JSON.stringify({...holder, host: undefined}), 'a missing host'],
])('%j (%s) is no holder', (value) => {
  expect(decodeHolder(value)).toBeUndefined()
})

test('whatever stands in a ticket, reading it neither throws nor lets other fields in', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (value) => {
      const read = decodeHolder(value)
      if (read !== undefined) expect(Object.keys(read)).toEqual(['host', 'user', 'pid', 'since'])
    }),
  )
  expect(decodeHolder(JSON.stringify({...holder, argv: ['--password', 'x'], __proto__: {a: 1}}))).toEqual(
    holder,
  )
})

test('the mark says whose hold it stands for', () => {
  expect(markValue(leaseIdFrom(Uint8Array.of(0, 0, 0, 0, 0, 0, 1, 0xfe)))).toBe('1fe')
})
