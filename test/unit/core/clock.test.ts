import {expect, test} from 'vitest'
import {Clock} from '../../../src/lib/core/clock.ts'
import {FakeClock} from '../../support/fakeClock.ts'

const start = (): {time: FakeClock; clock: Clock} => {
  const time = new FakeClock()
  return {time, clock: new Clock(time)}
}

test('counts from zero, and counts what passes', async () => {
  const {time, clock} = start()
  expect(clock.elapsedMs()).toBe(0)
  await time.advance(1500)
  expect(clock.elapsedMs()).toBe(1500)
})

test('counts a suspend, which the monotonic clock does not see', async () => {
  const {time, clock} = start()
  await time.advance(1000)
  time.suspend(3_600_000)
  expect(clock.elapsedMs()).toBe(3_601_000)
})

test.each([3_600_000, -3_600_000])('is not moved by a wall clock that steps by %i ms', (stepMs) => {
  const {time, clock} = start()
  time.stepWall(stepMs)
  expect(clock.elapsedMs()).toBe(0)
})

test('goes by the monotonic clock where boot time is coarser', () => {
  const time = new FakeClock()
  const coarse = new Clock({
    monotonicMs: () => time.monotonicMs(),
    bootMs: () => Math.floor(time.bootMs() / 10) * 10,
    wallMs: () => time.wallMs(),
    schedule: (delayMs, wake) => time.schedule(delayMs, wake),
  })
  time.block(7)
  expect(coarse.elapsedMs()).toBe(7)
})

test('knows what the boot clock will show at a moment, suspended or not before that', async () => {
  const {time, clock} = start()
  const atMs = clock.elapsedMs() + 5000
  const bootMs = time.bootMs() + 5000
  expect(clock.bootMsAt(atMs)).toBe(bootMs)
  await time.advance(1000)
  time.suspend(1000)
  expect(clock.bootMsAt(atMs)).toBe(bootMs)
})

test('sleeps until the moment, not shorter', async () => {
  const {time, clock} = start()
  let wokenAtMs: number | undefined
  void clock.sleepUntil(2500.5).then(() => (wokenAtMs = clock.elapsedMs()))
  await time.advance(2500)
  expect(wokenAtMs).toBeUndefined()
  await time.advance(10)
  expect(wokenAtMs).toBeGreaterThanOrEqual(2500.5)
})

test('looks at the clock every second, so that a suspend is noticed soon after it', async () => {
  const {time, clock} = start()
  let woken = false
  void clock.sleepUntil(3_600_000).then(() => (woken = true))
  await time.advance(500)
  time.suspend(3_600_000)
  await time.advance(500)
  expect(woken).toBe(true)
})

test('a sleep that is aborted rejects with the reason, and leaves no timer', async () => {
  const {time, clock} = start()
  const control = new AbortController()
  const sleep = clock.sleepUntil(5000, control.signal)
  await time.advance(100)
  control.abort('reason')
  await expect(sleep).rejects.toBe('reason')
  expect(time.timerCount).toBe(0)
})

test.each([0, 5000])('a sleep that was aborted before rejects with the reason, until %i ms', async (atMs) => {
  const {time, clock} = start()
  await expect(clock.sleepUntil(atMs, AbortSignal.abort('reason'))).rejects.toBe('reason')
  expect(time.timerCount).toBe(0)
})

test('a wake-up that is cancelled does not come', async () => {
  const {time, clock} = start()
  let woken = false
  clock.schedule(10, () => (woken = true))()
  await time.advance(20)
  expect(woken).toBe(false)
})
