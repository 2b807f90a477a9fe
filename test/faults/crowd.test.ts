import {expect, test} from 'vitest'
import {crowd} from './crowd.ts'

/** `npm run beside` does the same for longer. */
test('no writer holds beside anybody, no more than there are slots, and nobody overtakes a writer, however they end', async () => {
  const {violations, overtakers, left, stuck, mostAtOnce} = await crowd(6)
  expect({violations, overtakers, left, stuck}).toEqual({violations: [], overtakers: [], left: [], stuck: []})
  // Otherwise nothing was tried.
  expect(mostAtOnce.reader).toBeGreaterThan(1)
  expect(mostAtOnce.writer).toBe(1)
  expect(mostAtOnce.slot).toBeGreaterThan(1)
}, 300_000)
