import {describe, expect, test} from 'vitest'
import {decodeHandle, encodeHandle} from '../../../src/lib/handle/handle.ts'
import {fullHandle, plainHandle} from './someHandle.ts'

/** The fields as they stand in the file. */
const written = (): Record<string, unknown> => JSON.parse(encodeHandle(fullHandle)) as Record<string, unknown>
const decoded = (fields: unknown) => decodeHandle(JSON.stringify(fields))

/** The same with one field changed, at a path such as `keeper.pid` or `locks.0.key`. */
const changed = (path: string, value: unknown): unknown => {
  const fields = written()
  const names = path.split('.')
  const last = names.pop() ?? ''
  let object = fields
  for (const name of names) object = object[name] as Record<string, unknown>
  object[last] = value
  return fields
}

test('brings back what was written, to the last bit', () => {
  for (const handle of [plainHandle, fullHandle])
    expect(decodeHandle(encodeHandle(handle))).toEqual({is: 'handle', handle})
})

test('writes one line of JSON, with int64 numbers as strings and the lease as etcdctl prints it', () => {
  expect(encodeHandle(fullHandle)).toMatch(/^[^\n]+\n$/)
  expect(written()).toMatchObject({
    version: 1,
    lease: '7fffffffffffffff',
    locks: [{createRevision: '9223372036854775807'}, {createRevision: '1'}],
  })
})

test('passes over fields that a later leash may add', () => {
  expect(decoded({...written(), later: {}})).toEqual({is: 'handle', handle: fullHandle})
})

test('can do without what is optional', () => {
  for (const name of [
    'graceMs',
    'keeper',
    'ended',
    'ended.reason',
    'election',
    'locks.0.markKey',
    'locks.0.mode',
    'locks.0.vanished',
    'admittedAtBootMs',
  ])
    expect(decoded(changed(name, undefined)), name).toMatchObject({is: 'handle'})
})

test('takes a handle that says nothing of an election, or that it is none, for that of locks', () => {
  for (const election of [undefined, false]) {
    const {election: _, ...locks} = fullHandle
    expect(decoded(changed('election', election))).toEqual({is: 'handle', handle: locks})
  }
})

test('does not read what another version wrote', () => {
  expect(decoded({version: 2})).toEqual({is: 'otherVersion', version: '2'})
})

test.each([
  ['', 'is not whole JSON'],
  [encodeHandle(fullHandle).slice(0, -2), 'is not whole JSON'],
  ['null', 'is no JSON object'],
  ['[]', 'is no JSON object'],
  ['{}', 'has no valid version'],
  ['{"version":"1"}', 'has no valid version'],
])('takes %j for damaged', (text, what) => {
  expect(decodeHandle(text)).toEqual({is: 'damaged', what})
})

describe('checks every field', () => {
  const noText = [undefined, null, 7, {}, []]
  const noLength = [undefined, null, '7', -1, Infinity, {}]
  const noCount = [...noLength, 1.5, 2 ** 53]
  const noRevision = [
    ...noText,
    '',
    '0',
    '-1',
    '01',
    '1.5',
    '0x1',
    ' 1',
    '9223372036854775808',
    '1'.repeat(30),
  ]
  const noLease = [...noText, '', '0', '0a', 'A', '-1', '8000000000000000', '1'.repeat(17)]
  const noObject = [null, 7, 'x', []]
  test.each<[string, unknown[]]>([
    ['lease', noLease],
    ['endpoints', [undefined, null, 'http://x', {}]],
    ['ttlMs', noLength],
    ['lockDelayMs', noLength],
    ['graceMs', noLength.slice(1)],
    ['bootId', noText],
    ['sentAtBootMs', noLength],
    ['locks', [undefined, null, {}]],
    ['locks.0.name', noText],
    ['locks.1.queuePrefix', noText],
    ['locks.0.key', noText],
    ['locks.0.markKey', noText.slice(1)],
    ['locks.1.createRevision', noRevision],
    ['locks.0.mode.kind', [...noText, 'exclusive', 'none']],
    ['locks.0.mode.slots', noCount],
    ['locks.0.vanished', [null, 'x', {}]],
    ['admittedAtBootMs', noLength.slice(1)],
    ['election', [null, 1, 'true', {}]],
    ['keeper.pid', [...noCount, 0]],
    ['keeper.startTicks', noCount],
    ['keeper.guard.pid', [...noCount, 0]],
    ['keeper.guard.startTicks', noCount],
    ['keeper.keeps.pid', [...noCount, 0]],
    ['keeper.keeps.startTicks', noCount],
    ['ended.how', [...noText, 'gone']],
    ['ended.reason', noText.slice(1)],
  ])('%s', (path, values) => {
    const name = path.replace(/\.\d\./, '.')
    for (const value of values)
      expect(decoded(changed(path, value)), String(value)).toEqual({
        is: 'damaged',
        what: `has no valid ${name}`,
      })
  })

  test.each<[string, unknown[], string]>([
    ['endpoints.0', noText, 'has no valid endpoints.url'],
    ['locks', [[]], 'holds no lock'],
    ['locks.1', noObject, 'has no valid locks'],
    ['locks.0.mode', noObject, 'has no valid locks.mode'],
    ['keeper', noObject, 'has no valid keeper'],
    ['keeper.guard', [undefined, ...noObject], 'has no valid keeper.guard'],
    ['keeper.keeps', [undefined, ...noObject], 'has no valid keeper.keeps'],
    ['ended', noObject, 'has no valid ended'],
  ])('%s as a whole', (path, values, what) => {
    for (const value of values) expect(decoded(changed(path, value))).toEqual({is: 'damaged', what})
  })
})
