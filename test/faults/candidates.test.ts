import {expect, test} from 'vitest'
import {succession} from './candidates.ts'

/** `npm run succession` does the same with more of them. */
test('when leaders are killed, candidates lead one at a time in the order of their arrival, and an observer sees each of them once', async () => {
  const kills = 5
  const arrived = Array.from({length: kills + 1}, (_, index) => String(index + 1))
  expect(await succession(5, kills)).toEqual({led: arrived, observed: arrived, besides: [], left: []})
}, 300_000)
