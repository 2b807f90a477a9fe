import {expect, test} from 'vitest'
import {beforeEnd, optionsLength, separateOptions} from '../../src/commandLine.ts'

const flags = {
  'with-lock': {type: 'option', char: 'l'},
  ttl: {type: 'option'},
  'no-wait': {type: 'boolean', char: 'n'},
  verbose: {type: 'boolean', char: 'v'},
} as const

const words = (text: string): string[] => (text === '' ? [] : text.split(' '))

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
  expect(optionsLength(words(line), flags)).toBe(length)
})

test.each<[line: string, options: string, operands: string]>([
  ['a', '', 'a'],
  ['a b', '', 'a b'],
  ['a -n b', '-n', 'a b'],
  ['a --ttl 5s', '--ttl 5s', 'a'],
  ['--ttl 5s a -v', '--ttl 5s -v', 'a'],
  ['a -- --ttl 5s', '', 'a --ttl 5s'],
  ['-n -- -v -- b', '-n', '-v -- b'],
  ['a --', '', 'a'],
  ['- a', '', '- a'],
  ['a --ttl -- b', '--ttl --', 'a b'],
  ['a --ttl=5s b -lnightly', '--ttl=5s -lnightly', 'a b'],
  ['a -nl nightly b', '-nl nightly', 'a b'],
  ['a --unknown b', '--unknown', 'a b'],
  ['a --ttl', '--ttl', 'a'],
  ['', '', ''],
])('of "%s" the options are "%s" and the operands "%s"', (line, options, operands) => {
  expect(separateOptions(words(line), flags)).toMatchObject({
    options: words(options),
    operands: words(operands),
  })
})

test.each<[line: string, behind: string | undefined]>([
  ['a', undefined],
  ['a --ttl --', undefined],
  ['a --', ''],
  ['a -- true -v', 'true -v'],
  ['a -n -- -- b', '-- b'],
  ['-l -- a -- b', 'b'],
])('of "%s" the words behind the end of the options are %j', (line, behind) => {
  expect(separateOptions(words(line), flags).behind).toEqual(behind === undefined ? undefined : words(behind))
})

test.each([
  ['a --keep 1', 'a --keep 1'],
  ['a -- --keep 1', 'a'],
  ['-- a -- b', ''],
  ['', ''],
])('of "%s" what stands before a -- is "%s"', (line, before) => {
  expect(beforeEnd(words(line))).toEqual(words(before))
})
