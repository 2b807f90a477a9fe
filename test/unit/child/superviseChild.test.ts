import {expect, test} from 'vitest'
import {superviseChild} from '../../../src/lib/child/superviseChild.ts'
import {systemClock} from '../../../src/lib/systemClock.ts'

const parts = {
  clock: systemClock(),
  lost: new AbortController().signal,
  gone: new AbortController().signal,
  onStarted: () => {},
}
const start = (argv: [string, ...string[]], env: NodeJS.ProcessEnv = process.env) =>
  superviseChild({argv, env, stopSignal: 'SIGTERM', graceMs: 1000}, parts)

test('a command that the kernel refuses for its length is a fault of its own, and no bug', async () => {
  // One word is at most 128 KiB.
  const env = {...process.env, LONG: 'x'.repeat(200_000)}
  await expect(start(['true'], env)).rejects.toMatchObject({
    code: 'notExecutable',
    message: 'command "true" cannot be executed: E2BIG',
  })
})

test('a command that is gone when it is started is not found', async () => {
  await expect(start(['/no/such/command'])).rejects.toMatchObject({code: 'notFound'})
})
