import {describe, expect, test} from 'vitest'
import {lockKeys, rawLockKeys} from '../../../src/lib/core/lockName.ts'
import {type Terms, timeline} from '../../../src/lib/core/timeline.ts'
import {explain} from '../../../src/lib/output/explain.ts'

const explained = (
  terms: Partial<Terms> = {},
  command = ['./job', 'a b'],
  keys = lockKeys('leash/', 'nightly'),
): string => {
  const lockDelayMs = terms.lockDelayMs ?? 0
  return explain({
    request: {
      locks: [keys],
      ttlMs: 30_000,
      terms: {lockDelayMs, ...terms},
      wait: {kind: 'none'},
      connectTimeoutMs: 10_000,
      holder: {host: 'h', user: 'u', pid: 1},
    },
    timeline: timeline(30_000 + lockDelayMs, {lockDelayMs, ...terms}),
    command,
    containment: 'session',
    settings: ['endpoints http://db1:2379 (flag)'],
  })
}
/** The moments, in the order of the lines. */
const moments = (text: string): number[] =>
  [...text.matchAll(/^ *([\d.]+) s {2}/gm)].map(([, seconds]) => Number(seconds))

describe('tells, with numbers,', () => {
  test('what would be locked, run and contained, and from where each setting is', () => {
    expect(explained()).toMatch(
      /^lock {6}nightly\nqueue {5}leash\/lock\/nightly\/\nmark {6}leash\/held\/lock\/nightly\ncommand {3}"\.\/job" "a b"\nlease {5}30\.00 s, .*\ncontains {2}session\nsetting {3}endpoints http:\/\/db1:2379 \(flag\)\n\n/,
    )
  })

  test('that a raw key has no mark', () => {
    expect(explained({}, ['true'], rawLockKeys('/services/api'))).toMatch(/^mark +none, for a raw key$/m)
  })

  test('what happens when, the guard included', () => {
    const text = explained()
    expect(moments(text)).toEqual([0, 7.5, 9.97, 19.95, 28.85, 28.95, 29.7, 30])
    expect(text).toMatch(/^28\.85 s {2}KILL to the job by the guard, /m)
  })

  test('a lock-delay, which only etcd waits for', () => {
    const text = explained({lockDelayMs: 15_000})
    expect(moments(text).slice(-2)).toEqual([29.7, 45])
    expect(text).toContain('(lock-delay 15.00 s)')
  })
})

test.each([1, 50, 100, 9000])('the moments are in order, also with a grace of %i ms', (graceMs) => {
  const seen = moments(explained({graceMs}))
  expect(seen).toHaveLength(8)
  expect(seen).toEqual(seen.toSorted((one, other) => one - other))
})

test('what could steer a terminal is shown, not done', () => {
  expect(explained({}, ['\u001b[2J', 'a\nb'])).not.toContain('\u001b')
})
