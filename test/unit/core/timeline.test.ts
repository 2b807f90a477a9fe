import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {LeashError} from '../../../src/lib/core/errors.ts'
import {type Terms, type Timeline, timeline, ttlToAskSeconds} from '../../../src/lib/core/timeline.ts'

/** Any settings that a user may come up with, and a TTL in the answer. */
const settings = fc.record({
  ttlMs: fc.integer({min: 1000, max: 3_600_000}),
  lockDelayMs: fc.integer({min: 0, max: 600_000}),
  graceMs: fc.option(fc.integer({min: 1, max: 600_000}), {nil: undefined}),
})

/** The timeline, or undefined if the settings do not fit. */
function fitting(ttlMs: number, terms: Terms): Timeline | undefined {
  try {
    return timeline(ttlMs, terms)
  } catch (error) {
    expect(error).toBeInstanceOf(LeashError)
    return undefined
  }
}

test('of the default TTL: 30 s, renewed every 7.5 s, TERM at 19.95 s, KILL at 28.95 s, over at 29.7 s', () => {
  expect(timeline(30_000, {lockDelayMs: 0})).toEqual({
    ttlMs: 30_000,
    lockDelayMs: 0,
    graceMs: 9000,
    killMarginMs: 750,
    entitledMs: 29_700,
    termAfterMs: 19_950,
    killAfterMs: 28_950,
    guardAfterMs: 28_850,
    warnAfterMs: 9975,
    renewAfterMs: 7500,
    attemptMs: 3750,
    hedgeAfterMs: 937.5,
    startNeedsMs: 7500 + 3750 + 9000 + 750,
    startNeedsAfterRenewalMs: 7500 + 9000 + 750,
  })
})

test.each([
  ['30 % of the TTL', 20_000, 6000],
  ['at most 10 s', 60_000, 10_000],
])('the default grace is %s', (_, ttlMs, graceMs) => {
  expect(timeline(ttlMs, {lockDelayMs: 0}).graceMs).toBe(graceMs)
})

test.each([
  ['250 ms for a short lease', 3000, 250],
  ['2.5 % of the TTL for a long one', 60_000, 1500],
])('the kill margin is %s', (_, ttlMs, killMarginMs) => {
  expect(timeline(ttlMs, {lockDelayMs: 0}).killMarginMs).toBe(killMarginMs)
})

test('a lock-delay makes the lease longer and changes nothing of the timeline', () => {
  const plain = timeline(30_000, {lockDelayMs: 0})
  expect(timeline(45_000, {lockDelayMs: 15_000})).toEqual({...plain, ttlMs: 45_000, lockDelayMs: 15_000})
})

test('asks etcd for TTL and lock-delay together, in whole seconds, never for less than was wished for', () => {
  expect(ttlToAskSeconds(30_000, 0)).toBe(30)
  expect(ttlToAskSeconds(2500, 0)).toBe(3)
  expect(ttlToAskSeconds(30_000, 15_001)).toBe(46)
})

test('settings that do not fit are refused with both sides of the inequality', () => {
  const refused = (): Timeline => timeline(10_000, {lockDelayMs: 0, graceMs: 6000})
  expect(refused).toThrow(LeashError)
  expect(refused).toThrow(
    'the timeline does not fit: renew interval 2.5 s + one retry 1.25 s + grace 6 s + kill margin 0.25 s = 10 s, ' +
      'more than the 9.9 s that a TTL of 10 s entitles to',
  )
  expect(refused).toThrow(expect.objectContaining({code: 'usage'}) as Error)
})

test('both sides in the message speak of the TTL without the lock-delay', () => {
  expect(() => timeline(40_000, {lockDelayMs: 30_000, graceMs: 6000})).toThrow(
    /= 10 s, more than the 9\.9 s that a TTL of 10 s entitles to$/,
  )
})

test("etcd's smallest TTL fits with the default grace, and one second does", () => {
  expect(timeline(2000, {lockDelayMs: 0})).toMatchObject({graceMs: 600, killMarginMs: 250, termAfterMs: 1130})
  expect(timeline(1000, {lockDelayMs: 0}).termAfterMs).toBeGreaterThan(0)
})

describe('whatever fits', () => {
  const holds = (check: (line: Timeline) => void): void => {
    fc.assert(
      fc.property(settings, ({ttlMs, ...terms}) => {
        const line = fitting(ttlMs + terms.lockDelayMs, terms)
        fc.pre(line !== undefined)
        check(line)
      }),
      {numRuns: 500},
    )
  }

  test('comes in the order TERM, KILL, end of the entitlement, expiry at etcd without the lock-delay', () => {
    holds(({termAfterMs, killAfterMs, entitledMs, ttlMs, lockDelayMs}) => {
      expect(termAfterMs).toBeGreaterThan(0)
      expect(killAfterMs).toBeGreaterThan(termAfterMs)
      expect(entitledMs).toBeGreaterThanOrEqual(killAfterMs + 250 - 1e-6)
      expect(ttlMs - lockDelayMs).toBeGreaterThan(entitledMs)
    })
  })

  test('has the guard end the tree after TERM and before KILL, or with hardly any grace not long after', () => {
    holds(({termAfterMs, guardAfterMs, killAfterMs, graceMs, entitledMs}) => {
      expect(guardAfterMs).toBeGreaterThanOrEqual(termAfterMs + 20 - 1e-6)
      if (graceMs >= 120) expect(guardAfterMs).toBeCloseTo(killAfterMs - 100)
      expect(entitledMs - guardAfterMs).toBeGreaterThanOrEqual(230 - 1e-6)
    })
  })

  test("ends before etcd's lease does though one clock is 1 % slower than the other", () => {
    holds(({entitledMs, ttlMs, lockDelayMs}) => {
      // Our slow clock shows `entitledMs` when etcd's has come to a hundredth more.
      expect(entitledMs * 1.01).toBeLessThan(ttlMs - lockDelayMs)
    })
  })

  test('leaves a renewal and its retry before TERM, and a warning before that', () => {
    holds(({renewAfterMs, attemptMs, hedgeAfterMs, warnAfterMs, termAfterMs}) => {
      expect(renewAfterMs + attemptMs).toBeLessThanOrEqual(termAfterMs + 1e-6)
      expect(warnAfterMs).toBeLessThan(termAfterMs)
      expect(hedgeAfterMs).toBeLessThan(attemptMs)
    })
  })

  test('a start that has what it needs has its whole grace even if the next renewal and its retry fail', () => {
    holds(({startNeedsMs, entitledMs, renewAfterMs, attemptMs, graceMs, killMarginMs}) => {
      expect(startNeedsMs).toBeLessThanOrEqual(entitledMs)
      expect(startNeedsMs).toBeCloseTo(renewAfterMs + attemptMs + graceMs + killMarginMs)
    })
  })
})

test('whatever does not fit would break the inequality', () => {
  fc.assert(
    fc.property(settings, ({ttlMs, lockDelayMs, graceMs}) => {
      if (fitting(ttlMs + lockDelayMs, {lockDelayMs, graceMs}) !== undefined) return
      const killMarginMs = Math.max(250, ttlMs * 0.025)
      const wholeGraceMs = graceMs ?? Math.min(ttlMs * 0.3, 10_000)
      expect(ttlMs / 4 + ttlMs / 8 + wholeGraceMs + killMarginMs).toBeGreaterThan(ttlMs * 0.99)
    }),
    {numRuns: 500},
  )
})
