import {getEventListeners} from 'node:events'
import {expect, test} from 'vitest'
import {underSignals} from '../../../src/lib/core/signals.ts'

/** Work that ends only with its signal. */
const endless = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error)
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })

test('hands over what the work brings, and leaves nothing at the sources', async () => {
  const [one, other] = [new AbortController(), new AbortController()]
  expect(await underSignals([one.signal, other.signal], () => Promise.resolve('done'))).toBe('done')
  expect(getEventListeners(one.signal, 'abort')).toEqual([])
  expect(getEventListeners(other.signal, 'abort')).toEqual([])
})

test('hands over what the work fails with, and leaves nothing at the sources', async () => {
  const source = new AbortController()
  const failure = new Error('failed')
  await expect(underSignals([source.signal], () => Promise.reject(failure))).rejects.toBe(failure)
  expect(getEventListeners(source.signal, 'abort')).toEqual([])
})

test('ends the work with the reason of the first source that is aborted', async () => {
  const [one, other] = [new AbortController(), new AbortController()]
  const work = underSignals([one.signal, other.signal], endless)
  other.abort('first')
  one.abort('second')
  await expect(work).rejects.toBe('first')
})

test('ends the work at once when a source was aborted before', async () => {
  const source = new AbortController()
  await expect(underSignals([source.signal, AbortSignal.abort('before')], endless)).rejects.toBe('before')
})
