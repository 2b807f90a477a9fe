import {spawn} from 'node:child_process'
import {describe, expect, test} from 'vitest'
import {identifyKept} from '../../../src/lib/child/processIdentity.ts'
import type {Handle} from '../../../src/lib/handle/handle.ts'
import {askLivingKeeper} from '../../../src/lib/handle/livingKeeper.ts'
import {isStopped} from '../../support/processes.ts'
import {until} from '../../support/wait.ts'
import {plainHandle} from './someHandle.ts'

const soon = {withinMs: 10_000}
const {bootId} = plainHandle

/** A process that is named as a keeper and answers nobody. */
const mute = (): {handle: Handle; pid: number} & Disposable => {
  const child = spawn('sleep', ['60'])
  const pid = child.pid ?? 0
  const self = identifyKept(String(pid))
  const handle = {...plainHandle, keeper: {...self, guard: self, keeps: self}}
  return {handle, pid, [Symbol.dispose]: () => void child.kill('SIGKILL')}
}
const ask = (handle: Handle, boot = bootId): ReturnType<typeof askLivingKeeper> =>
  askLivingKeeper(handle, '/nowhere/handle', 'release', {bootId: boot, limitMs: 10_000})

describe('a keeper that does not answer', () => {
  test('is waited for when it ends: then there is none', async () => {
    using keeper = mute()
    process.kill(keeper.pid, 'SIGSTOP')
    await until('it to stop', () => isStopped(keeper.pid), soon)
    const asked = ask(keeper.handle)
    // It was asked when it goes on.
    await until('it to go on', () => !isStopped(keeper.pid), soon)
    process.kill(keeper.pid, 'SIGKILL')
    expect(await asked).toBeUndefined()
  })

  test('and lives on is a fault: nobody else may give back what it keeps', async () => {
    using keeper = mute()
    await expect(ask(keeper.handle)).rejects.toMatchObject({
      code: 'unavailable',
      message: `the keeper (pid ${keeper.pid}) does not answer`,
    })
  })
})

test('nobody is asked without a keeper, in another boot, or where another process has its number', async () => {
  using keeper = mute()
  const {keeper: own} = keeper.handle
  expect(await ask(plainHandle)).toBeUndefined()
  expect(await ask(keeper.handle, 'another')).toBeUndefined()
  const other = {...plainHandle, ...(own && {keeper: {...own, startTicks: own.startTicks + 1}})}
  expect(await ask(other)).toBeUndefined()
})
