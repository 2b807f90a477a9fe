import {expect, test} from 'vitest'
import {defaultPrefix, parsePrefix} from '../../../src/lib/config/prefix.ts'
import type {Origin} from '../../../src/lib/config/origin.ts'
import {refusal} from './temporaryWorld.ts'

const flag: Origin = {kind: 'flag', name: '--prefix'}
const parse = (text: string) => parsePrefix({text, origin: flag})

test.each([
  [defaultPrefix, defaultPrefix],
  ['team/leash/', 'team/leash/'],
  ['/', '/'],
  ['größe/ β/', 'größe/ β/'],
])('takes %j as it is', (text, prefix) => {
  expect(parse(text)).toBe(prefix)
})

test('appends a slash, so that the prefix team cannot meet the keys of team2', () => {
  expect(parse('team')).toBe('team/')
})

test.each([
  ['', 'is empty'],
  [' leash/', 'begins or ends with white space'],
  ['leash/ ', 'begins or ends with white space'],
  [' ', 'begins or ends with white space'],
  ['le\nash/', 'contains a control character'],
  ['le\0ash/', 'contains a control character'],
  ['le\u009bash/', 'contains a control character'],
  ['le\u2028ash/', 'contains a control character'],
  ['le\ud800ash/', 'is not valid UTF-8'],
  ['le\ufffdash/', 'is not valid UTF-8'],
  ['ß'.repeat(100), 'is longer than 200 bytes'],
])('refuses %j, which %s', (text, rule) => {
  const {code, message, wayOut} = refusal(() => parse(text))
  expect(code).toBe('usage')
  expect(message).toMatch(new RegExp(`^--prefix ".*" ${rule}$`, 's'))
  expect(wayOut).not.toBe('')
})

test('counts the slash that it appends', () => {
  expect(parse('x'.repeat(199))).toHaveLength(200)
  expect(refusal(() => parse('x'.repeat(200))).message).toContain('is longer than 200 bytes')
})
