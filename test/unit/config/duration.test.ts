import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {formatDuration, parseDuration, usualBounds} from '../../../src/lib/config/duration.ts'
import type {Origin} from '../../../src/lib/config/origin.ts'
import {refusal} from './temporaryWorld.ts'

const flag: Origin = {kind: 'flag', name: '--ttl'}

describe('reads', () => {
  test.each([
    ['500ms', 500],
    ['10s', 10_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['1d', 86_400_000],
    ['1d2h3m4s5ms', 93_784_005],
    ['1.5s', 1500],
    ['.5s', 500],
    ['0.07s', 70],
    ['1.0004s', 1000],
    ['1.0005s', 1001],
    ['10', 10_000],
    ['1.5', 1500],
    ['007', 7000],
  ])('%s as %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  test('whatever it writes, to the millisecond', () => {
    fc.assert(
      fc.property(fc.integer({min: 1, max: usualBounds.maxMs}), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms)
      }),
    )
  })

  test('any text either as a whole number of milliseconds within the bounds or refuses it with a LeashError', () => {
    const words = fc.oneof(
      fc.string(),
      fc.stringMatching(/^-?[\d.]{0,6}(?:d|h|m|s|ms)?[\d.]{0,4}(?:m|s|ms)?$/),
    )
    fc.assert(
      fc.property(words, (text) => {
        let ms: number
        try {
          ms = parseDuration(text)
        } catch {
          expect(refusal(() => parseDuration(text)).code).toBe('config')
          return
        }
        expect(Number.isInteger(ms)).toBe(true)
        expect(ms).toBeGreaterThan(0)
        expect(ms).toBeLessThanOrEqual(usualBounds.maxMs)
      }),
    )
  })
})

describe('refuses', () => {
  test.each([
    '',
    ' ',
    'abc',
    '5min',
    '5M',
    '1e3',
    '1_000',
    '10 s',
    '1h 30m',
    ' 10s',
    '30m1h',
    '1s1s',
    '5ms3s',
    '+5s',
    '--5s',
    '1,5s',
    '5.s',
    '.',
    's',
    'Infinity',
    'NaN',
    '٣s',
    '10s\n',
  ])('%j as no duration', (text) => {
    expect(refusal(() => parseDuration(text, flag))).toEqual({
      code: 'usage',
      message: `--ttl ${JSON.stringify(text)} is not a duration`,
      wayOut: 'write for example 500ms, 10s, 5m or 1h30m (a bare number is seconds)',
    })
  })

  test.each(['-5s', '-1', '-0', '-1h30m'])('%s as negative', (text) => {
    expect(refusal(() => parseDuration(text, flag)).message).toBe(`--ttl "${text}" is negative`)
  })

  test.each(['0', '0s', '0h0m', '0.0'])('%s where zero means nothing', (text) => {
    expect(refusal(() => parseDuration(text, flag)).message).toBe(`--ttl "${text}" must be longer than zero`)
  })

  test('what would be rounded to zero, even where zero is allowed', () => {
    const bounds = {...usualBounds, zeroAllowed: true}
    expect(refusal(() => parseDuration('0.4ms', flag, bounds)).message).toBe(
      '--ttl "0.4ms" is shorter than 1ms',
    )
    expect(parseDuration('0', flag, bounds)).toBe(0)
  })

  test('what is longer than its bounds, with the limit, the reason and the way out', () => {
    const bounds = {zeroAllowed: false, maxMs: 60_000, because: 'because of the test'}
    expect(parseDuration('60s', flag, bounds)).toBe(60_000)
    expect(refusal(() => parseDuration('60.001s', flag, bounds))).toEqual({
      code: 'usage',
      message: '--ttl "60.001s" is longer than 1m, which is the limit because of the test',
      wayOut: 'write 1m or less',
    })
  })

  test('what a timer of Node cannot hold, when nothing narrower is asked for', () => {
    expect(parseDuration('24d')).toBeLessThan(2 ** 31)
    expect(refusal(() => parseDuration('25d')).message).toContain('is longer than 576h')
    expect(refusal(() => parseDuration('9'.repeat(400))).message).toContain('is longer than 576h')
  })
})

test.each([
  [0, '0s'],
  [0.4, '0s'],
  [-0.4, '0s'],
  [500, '500ms'],
  [1500, '1.5s'],
  [60_000, '1m'],
  [61_005, '1m1.005s'],
  [5_400_000, '1h30m'],
  [86_400_000, '24h'],
  [-2800, '-2.8s'],
])('writes %d ms as %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text)
})
