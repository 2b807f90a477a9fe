import fc from 'fast-check'
import {expect, test} from 'vitest'
import {printable} from '../../../src/lib/output/escape.ts'

const dangerous = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u
const anyText = fc.string({
  unit: fc.oneof(
    fc.string({unit: 'binary', minLength: 1, maxLength: 1}),
    fc.integer({min: 0, max: 0xff}).map((code) => String.fromCharCode(code)),
    fc.integer({min: 0xd8_00, max: 0xdf_ff}).map((code) => String.fromCharCode(code)),
    fc.integer({min: 0x20_00, max: 0x20_6f}).map((code) => String.fromCharCode(code)),
  ),
  maxLength: 60,
})

test.each([
  ['nightly', 'nightly'],
  ['größe 日本 🙂 a\\b "c"', 'größe 日本 🙂 a\\b "c"'],
  ['a\nb\r\tc', String.raw`a\nb\r\tc`],
  ['\u001B[31mred\u001B]0;title\u0007', String.raw`\x1b[31mred\x1b]0;title\x07`],
  ['a\0b\u007Fc', String.raw`a\x00b\x7fc`],
  ['\u009B2J', String.raw`\x9b2J`],
  ['abc\u202Etxt.exe', String.raw`abc\u{202e}txt.exe`],
  ['\u2066a\u2069\u200B\uFEFF', String.raw`\u{2066}a\u{2069}\u{200b}\u{feff}`],
  ['a\u2028b\u2029', String.raw`a\u{2028}b\u{2029}`],
  ['a\uD83Db\uDE00', String.raw`a\u{d83d}b\u{de00}`],
  ['\u{E0041}', String.raw`\u{e0041}`],
  ['', ''],
])('shows %j as %j', (text, shown) => {
  expect(printable(text)).toBe(shown)
})

test('lets nothing through that a terminal obeys or an eye cannot see', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(printable(text, 1000)).not.toMatch(dangerous)
    }),
  )
})

test('is never longer than its limit and says when it cut', () => {
  fc.assert(
    fc.property(anyText, fc.integer({min: 1, max: 40}), (text, limit) => {
      const shown = printable(text, limit)
      expect([...shown].length).toBeLessThanOrEqual(limit)
      const whole = printable(text, 10_000)
      if (shown === whole) return
      expect(shown.endsWith('…')).toBe(true)
      expect(whole.startsWith(shown.slice(0, -1))).toBe(true)
    }),
  )
})

test('leaves what it made as it is', () => {
  fc.assert(
    fc.property(anyText, fc.integer({min: 1, max: 40}), (text, limit) => {
      const once = printable(text, limit)
      expect(printable(once, limit)).toBe(once)
    }),
  )
})

test('does not cut an escape in half', () => {
  expect(printable('abc\u001B', 6)).toBe('abc…')
  expect(printable('abc\u001B', 7)).toBe(String.raw`abc\x1b`)
  expect(printable('abcdef', 5)).toBe('abcd…')
  expect(printable('abcde', 5)).toBe('abcde')
})

test('has a limit by default, and does not read a huge text to its end', () => {
  const shown = printable('x'.repeat(50_000_000))
  expect(shown).toBe(`${'x'.repeat(239)}…`)
})
