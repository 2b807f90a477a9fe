import {getEventListeners} from 'node:events'
import {expect, test, vi} from 'vitest'
import {Clock} from '../../../src/lib/core/clock.ts'
import {withLimit} from '../../../src/lib/core/limit.ts'
import {FakeClock} from '../../support/fakeClock.ts'

const start = (): {time: FakeClock; clock: Clock} => {
  const time = new FakeClock()
  return {time, clock: new Clock(time)}
}

/** Work that ends only with its signal. */
const endless = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))

test('hands over what the work brings, and leaves no timer', async () => {
  const {time, clock} = start()
  const limit = {atMs: 5000, reason: 'late'}
  expect(await withLimit(clock, limit, undefined, () => Promise.resolve('done'))).toBe('done')
  await time.advance(0)
  expect(time.timerCount).toBe(0)
})

test('hands over what the work fails with, and leaves no timer', async () => {
  const {time, clock} = start()
  const failure = new Error('failed')
  const work = withLimit(clock, {atMs: 5000, reason: 'late'}, undefined, () => Promise.reject(failure))
  await expect(work).rejects.toBe(failure)
  await time.advance(0)
  expect(time.timerCount).toBe(0)
})

test('ends the work with the reason at the moment, not before', async () => {
  const {time, clock} = start()
  let end: unknown
  withLimit(clock, {atMs: 5000, reason: 'late'}, undefined, endless).catch(
    (reason: unknown) => (end = reason),
  )
  await time.advance(4999)
  expect(end).toBeUndefined()
  await time.advance(1)
  expect(end).toBe('late')
})

test('ends the work when the time has gone by in a suspend', async () => {
  const {time, clock} = start()
  let end: unknown
  withLimit(clock, {atMs: 60_000, reason: 'late'}, undefined, endless).catch(
    (reason: unknown) => (end = reason),
  )
  time.suspend(60_000)
  await time.advance(1000)
  expect(end).toBe('late')
})

test('ends the work with the reason of the signal that was handed in', async () => {
  const {clock} = start()
  const control = new AbortController()
  const work = withLimit(clock, {atMs: 5000, reason: 'late'}, control.signal, endless)
  control.abort('told to')
  await expect(work).rejects.toBe('told to')
})

test('without a moment, only the signal ends the work, and no timer runs', () => {
  const {time, clock} = start()
  void withLimit(clock, {atMs: Infinity, reason: 'late'}, undefined, endless)
  expect(time.timerCount).toBe(0)
})

test('a moment that is past ends the work at once', async () => {
  const {time, clock} = start()
  await time.advance(1000)
  await expect(withLimit(clock, {atMs: 500, reason: 'late'}, undefined, endless)).rejects.toBe('late')
})

test('leaves nothing that the signal handed in would remember: it may live for months', async () => {
  const {clock} = start()
  const {signal} = new AbortController()
  using any = vi.spyOn(AbortSignal, 'any')
  await withLimit(clock, {atMs: 5000, reason: 'late'}, signal, () => Promise.resolve())
  expect(getEventListeners(signal, 'abort')).toEqual([])
  expect(any).not.toHaveBeenCalled()
})
