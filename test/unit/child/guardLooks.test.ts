import {spawnSync} from 'node:child_process'
import {rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {expect, onTestFinished, test} from 'vitest'
import {runningProcesses} from '../../../src/lib/child/processIdentity.ts'
import {ProcessTree} from '../../../src/lib/child/processTree.ts'
import {isAlive} from '../../support/processes.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {until} from '../../support/wait.ts'
import {Contained, soon} from './Contained.ts'
import {TestGuard, bootTime} from './TestGuard.ts'

/** A PATH where awk fails the first so many times, as mawk does at a process that is gone between open and read. */
const awkThatFails = (times: number): string => {
  const directory = scratchDirectory('awk')
  onTestFinished(() => rmSync(directory, {recursive: true}))
  const real = spawnSync('sh', ['-c', 'command -v awk'], {encoding: 'utf8'}).stdout.trim()
  const calls = path.join(directory, 'calls')
  const script = `#!/bin/sh
echo >>${calls}
[ "$(wc -l <${calls})" -gt ${times} ] || exit 2
exec ${real} "$@"
`
  writeFileSync(path.join(directory, 'awk'), script, {mode: 0o755})
  return `${directory}:${process.env['PATH']}`
}

const keep = async (PATH: string): Promise<{job: Contained; guard: TestGuard} & AsyncDisposable> => {
  const job = await Contained.start(
    (root) => Promise.resolve(new ProcessTree(root)),
    true,
    ...['sh', '-c', 'trap "echo TERM; exit 3" TERM; echo runs; while :; do sleep 0.02; done'],
  )
  const guard = new TestGuard({env: {PATH}})
  await job.says(/runs/)
  guard.tell(`keep ${job.pid} ${runningProcesses.startOf(job.pid)} 15`)
  await guard.says(/^ready\n/)
  return {
    job,
    guard,
    [Symbol.asyncDispose]: async () => {
      await guard[Symbol.asyncDispose]()
      await job[Symbol.asyncDispose]()
    },
  }
}

test('a look that was broken off is repeated: the gentle signal comes all the same', async () => {
  await using stage = await keep(awkThatFails(2))
  const {job, guard} = stage
  guard.tell(`until ${bootTime() + 100_000}`)
  guard.endInput()
  expect(await job.end()).toBe(3)
  await guard.end()
})

test('who cannot be looked at is not taken for dead', async () => {
  await using stage = await keep(awkThatFails(1_000_000))
  const {job, guard} = stage
  guard.tell('until 0')
  await guard.says(/until 0\n/)
  await until('the timer to give up', () => guard.timerPid === undefined, soon)
  expect(isAlive(job.pid)).toBe(true)
  expect(guard.said).not.toMatch(/ended/)
})
