import {constants} from 'node:os'
import {afterEach, expect, test} from 'vitest'
import {SignalInbox} from '../../../src/lib/child/signalInbox.ts'
import {until} from '../../support/wait.ts'

const {SIGHUP, SIGALRM, SIGSEGV} = constants.signals

let inbox: SignalInbox
afterEach(() => inbox.close())

/** Sends signals to this process, and waits until the last of them has come. */
const send = async (...signals: NodeJS.Signals[]): Promise<void> => {
  let come = false
  process.once('SIGWINCH', () => (come = true))
  for (const signal of [...signals, 'SIGWINCH'] as const) process.kill(process.pid, signal)
  await until('the signals', () => come, {withinMs: 5000})
}

test('the first signal interrupts, and with a job each goes there', async () => {
  inbox = new SignalInbox()
  await send('SIGUSR2')
  await send('SIGHUP')
  expect(inbox.interrupted.reason).toMatchObject({signal: 'SIGUSR2'})
  const forwarded: NodeJS.Signals[] = []
  inbox.forwardTo((signal) => forwarded.push(signal))
  await send('SIGHUP')
  await send('SIGHUP')
  expect(forwarded).toEqual(['SIGHUP', 'SIGHUP'])
})

test('a signal that leash was told to ignore does not end it, nor interrupts it, nor goes to the job', async () => {
  inbox = new SignalInbox([SIGHUP, SIGALRM])
  await send('SIGHUP', 'SIGALRM')
  expect(inbox.interrupted.aborted).toBe(false)
  const forwarded: NodeJS.Signals[] = []
  inbox.forwardTo((signal) => forwarded.push(signal))
  await send('SIGHUP', 'SIGALRM', 'SIGUSR2')
  expect(forwarded).toEqual(['SIGUSR2'])
})

test('a fault of leash itself ends it all the same', () => {
  inbox = new SignalInbox([SIGSEGV])
  expect(process.listenerCount('SIGSEGV')).toBe(0)
})

test('closed, it gives all signals back', () => {
  const listeners = (): number[] =>
    (['SIGHUP', 'SIGALRM', 'SIGTERM'] as const).map((signal) => process.listenerCount(signal))
  const before = listeners()
  inbox = new SignalInbox([SIGALRM])
  expect(listeners()).toEqual(before.map((count) => count + 1))
  inbox.close()
  expect(listeners()).toEqual(before)
})
