import {expect, test} from 'vitest'
import {optionsLength} from '../../src/commandLine.ts'

const flags = {
  'with-lock': {type: 'option', char: 'l'},
  ttl: {type: 'option'},
  'no-wait': {type: 'boolean', char: 'n'},
  verbose: {type: 'boolean', char: 'v'},
} as const

test.each([
  ['-l nightly ./job -v', 2],
  ['-l nightly -- -v', 3],
  ['-lnightly ./job --ttl', 1],
  ['-nl nightly ./job', 2],
  ['-nlnightly ./job', 1],
  ['-l=nightly ./job', 1],
  ['--with-lock nightly ./job --help', 2],
  ['--with-lock=nightly ./job', 1],
  ['--ttl 5s -n -v ./job -n', 4],
  ['-n -', 1],
  ['./job', 0],
  ['', 0],
  ['-l', 1],
  ['--ttl --no-wait ./job', 2],
  ['--unknown ./job', 1],
  ['-l -- ./job', 2],
])('of "%s" the options are %i words', (line, length) => {
  expect(optionsLength(line === '' ? [] : line.split(' '), flags)).toBe(length)
})
