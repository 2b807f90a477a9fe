import fc from 'fast-check'
import {expect, test} from 'vitest'
import {leaseIdFrom} from '../../../src/lib/core/identifiers.ts'
import type {Mode} from '../../../src/lib/core/mode.ts'
import {decodeTicket, encodeHolder, markValue, readTicket} from '../../../src/lib/core/ticket.ts'

const holder = {host: 'build-3', user: 'ci', pid: 4711, since: '2030-01-01T00:00:00.000Z'}

test('a holder is read as it was written', () => {
  const text = fc.string({unit: 'grapheme'})
  fc.assert(
    fc.property(text, text, fc.nat(), text, (host, user, pid, since) => {
      const written = {host, user, pid, since}
      expect(decodeTicket(encodeHolder(written))).toEqual({holder: written})
    }),
  )
})

test.each<Mode>([{kind: 'shared'}, {kind: 'slots', slots: 3}])(
  'a mode is read as it was written: %j',
  (mode) => {
    expect(decodeTicket(encodeHolder(holder, mode))).toEqual({holder, mode})
  },
)

test('an exclusive ticket says nothing of it', () => {
  expect(encodeHolder(holder, {kind: 'exclusive'})).toBe(encodeHolder(holder))
})

test.each([
  {mode: 'semi-shared'},
  {mode: 'slots'},
  {mode: 'slots', slots: 0},
  {mode: 'slots', slots: 1.5},
  {mode: 'slots', slots: '3'},
  {mode: ['shared']},
  {slots: 3},
])('a mode that nobody writes is exclusive: %j', (wrong) => {
  expect(decodeTicket(JSON.stringify({...holder, ...wrong}))).toEqual({holder})
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
  expect(decodeTicket(value)).toBeUndefined()
})

test('whatever stands in a ticket, reading it neither throws nor lets other fields in', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (value) => {
      const read = decodeTicket(value)
      if (read !== undefined) expect(Object.keys(read.holder)).toEqual(['host', 'user', 'pid', 'since'])
    }),
  )
  expect(decodeTicket(JSON.stringify({...holder, argv: ['--password', 'x'], __proto__: {a: 1}}))).toEqual({
    holder,
  })
})

test('the mark says whose hold it stands for', () => {
  expect(markValue(leaseIdFrom(Uint8Array.of(0, 0, 0, 0, 0, 0, 1, 0xfe)))).toBe('1fe')
})

test("what is no holder is a proposal, and an empty value, as of Go's Mutex, says nothing", () => {
  expect(readTicket('web-1:8080')).toEqual({value: 'web-1:8080'})
  expect(readTicket('')).toEqual({})
  expect(readTicket(encodeHolder(holder))).toEqual({holder})
})
