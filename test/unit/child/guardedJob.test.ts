import {existsSync, readFileSync, readdirSync, rmdirSync} from 'node:fs'
import {describe, expect, test, vi} from 'vitest'
import {Cgroup} from '../../../src/lib/child/cgroup.ts'
import {decodeEnding, encodeEnding} from '../../../src/lib/child/ending.ts'
import type {Obstacle} from '../../../src/lib/child/guardedJob.ts'
import {Interrupted} from '../../../src/lib/child/signalInbox.ts'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'
import type {Dequeue} from '../../../src/lib/core/ports.ts'
import {canContainByCgroup} from '../../support/cgroups.ts'
import {commandOf, isAlive} from '../../support/processes.ts'
import {until} from '../../support/wait.ts'
import {Stage, type StageOptions, guardOf, renewAfterMs} from './job.fixture.ts'

const soon = {withinMs: 10_000}
const nobody = new AbortController().signal

/** It reads its orders one by one: with its answer to a later one, it has noted all that were written before. */
const guardHasRead = ({job, lock}: Stage): Promise<void> => job.extend(lock)

describe('to arm the guard', () => {
  test('lasts until it has acknowledged the job and its first deadline', async () => {
    await using stage = await Stage.set('note started', {recording: true})
    let isArmed = false
    const arming = stage.job.arm(stage.lock, nobody).then(() => (isArmed = true))
    await until('the guard to be told', () => stage.orders.length > 0, soon)
    expect(isArmed).toBe(false)
    stage.tell('answer')
    await arming
    await guardHasRead(stage)
    expect(stage.orders.slice(0, 3)).toEqual([
      expect.stringMatching(/^job \d+ leads none$/),
      expect.stringMatching(/^until \d+$/),
      expect.stringMatching(/^ticket \S+$/),
    ])
  })

  test('gives it what the clean end needs, as one word', async () => {
    await using stage = await Stage.set('', {recording: true})
    stage.tell('answer')
    await stage.job.arm(stage.lock, nobody)
    await guardHasRead(stage)
    const [word = ''] = stage.orders.flatMap((order) => /^ticket (\S+)$/.exec(order)?.[1] ?? [])
    expect(decodeEnding(word)).toEqual(stage.lock.ending)
  })

  test('gives it nothing to end at etcd, if a lock-delay is to keep others out', async () => {
    await using stage = await Stage.set('', {recording: true, lockDelayMs: 5000})
    stage.tell('answer')
    await stage.job.arm(stage.lock, nobody)
    await guardHasRead(stage)
    expect(stage.orders.filter((order) => order.startsWith('ticket'))).toEqual([])
  })

  test('keeps it informed of each confirmed renewal', async () => {
    await using stage = await Stage.set('', {recording: true})
    stage.tell('answer')
    await stage.job.arm(stage.lock, nobody)
    const times = (): number[] =>
      stage.orders.flatMap((order) => Number(/^until (\d+)$/.exec(order)?.[1] ?? NaN)).filter(Boolean)
    for (const count of [2, 3]) {
      stage.time.suspend(renewAfterMs)
      stage.lock.look()
      await until('a later deadline', () => times().length === count, soon)
    }
    expect(times()).toEqual(times().toSorted((one, other) => one - other))
  })
})

describe('what comes between a lock that is held and the start of its job is told', () => {
  const obstacleOf = async (
    options: StageOptions,
    cause: (stage: Stage, interruption: AbortController) => void | Promise<void>,
  ): Promise<Obstacle | undefined> => {
    await using stage = await Stage.set('note started', {recording: true, ...options})
    const interruption = new AbortController()
    const arming = stage.job.arm(stage.lock, interruption.signal)
    await cause(stage, interruption)
    const obstacle = await arming
    expect(stage.notes).toBe('')
    return obstacle
  }

  test('a signal', async () => {
    const obstacle = await obstacleOf({}, (_, interruption) => interruption.abort(new Interrupted('SIGHUP')))
    expect(obstacle).toMatchObject({signal: 'SIGHUP'})
  })

  test('a loss', async () => {
    expect(await obstacleOf({}, (stage) => stage.skipTo('TERM'))).toMatchObject({kind: 'unconfirmed'})
  })

  test('a guard that was killed', async () => {
    const obstacle = await obstacleOf({}, ({job}) => void process.kill(guardOf(job), 'SIGKILL'))
    expect(obstacle).toMatchObject({
      code: 'notExecutable',
      message: expect.stringMatching(/^the guard /) as string,
    })
  })

  test('a process killed that was to become the job', async () => {
    const obstacle = await obstacleOf({}, ({job}) => void job.process.kill('SIGKILL'))
    expect(obstacle).toMatchObject({
      code: 'notExecutable',
      message: expect.stringMatching(/^the process that was to become the job /) as string,
    })
  })

  test('a signal that this process heard first, as on a terminal', async () => {
    const obstacle = await obstacleOf({}, ({job}) => void job.process.kill('SIGINT'))
    expect(obstacle).toEqual(new Interrupted('SIGINT'))
  })

  test.each<[string, (stage: Stage) => Promise<void>]>([
    [
      'a guard that was killed',
      async ({job}) => {
        process.kill(guardOf(job), 'SIGKILL')
        await until('its end', () => job.guard.died.aborted, soon)
      },
    ],
    [
      'a process killed that was to become the job',
      async ({job}) => {
        job.process.kill('SIGKILL')
        await until('its end', () => job.process.signalCode !== null, soon)
      },
    ],
  ])('%s, before', async (_, cause) => {
    await using stage = await Stage.set('note started')
    await cause(stage)
    expect(await stage.job.arm(stage.lock, nobody)).toMatchObject({code: 'notExecutable'})
  })
})

describe('a job that is discarded', () => {
  test('has not run, and nothing of it is left', async () => {
    await using stage = await Stage.set('note started', {wish: 'auto'})
    const {job} = stage
    const directory = job.containment instanceof Cgroup ? job.containment.directory : undefined
    await job.arm(stage.lock, nobody)
    await job.discard()
    expect(job.process.signalCode).toBe('SIGKILL')
    expect(stage.notes).toBe('')
    expect(directory !== undefined && existsSync(directory)).toBe(false)
  })

  test('may have ended before', async () => {
    await using stage = await Stage.set('note started')
    stage.job.process.kill('SIGKILL')
    await until('its end', () => stage.job.process.signalCode !== null, soon)
    await stage.job.discard()
  })
})

test('the guard is gone when it is dismissed', async () => {
  await using stage = await Stage.set('')
  await stage.job.arm(stage.lock, nobody)
  const guard = guardOf(stage.job)
  stage.job.guard.dismiss()
  await until('it to be gone', () => !isAlive(guard), soon)
  expect(stage.job.guard.died.aborted).toBe(false)
})

test('nothing of the guard is left when it has died: it would end the tree at a time that is no longer true', async () => {
  await using stage = await Stage.set('')
  await stage.job.arm(stage.lock, nobody)
  const guard = guardOf(stage.job)
  const isTimer = (pid: number): boolean =>
    pid !== guard && isAlive(pid) && commandOf(pid) === commandOf(guard)
  const timer = readdirSync('/proc').map(Number).filter(Boolean).find(isTimer)
  if (timer === undefined) throw new Error('it has no timer')
  process.kill(guard, 'SIGKILL')
  await until('its death to be noticed', () => stage.job.guard.died.aborted, soon)
  await until('its timer to be gone', () => !isAlive(timer), soon)
})

test.skipIf(!canContainByCgroup())(
  'a process that cannot be moved into its cgroup does not become the job (where one can be made)',
  async () => {
    const make = vi.spyOn(Cgroup, 'make').mockImplementation((directory) => {
      make.mockRestore()
      const cgroup = Cgroup.make(directory)
      rmdirSync(directory)
      return cgroup
    })
    await using stage = await Stage.set('note started', {wish: 'cgroup', refusing: true})
    expect(await stage.job.arm(stage.lock, nobody)).toMatchObject({
      code: 'notExecutable',
      message: 'the job cannot be moved into its cgroup',
    })
    await stage.job.discard()
    expect(stage.notes).toBe('')
  },
)

test('no two jobs have the same mark', async () => {
  const marks = await Promise.all(
    [1, 2].map(async () => {
      await using stage = await Stage.set('')
      return /LEASH_RUN_[0-9a-f]{16}=/.exec(
        readFileSync(`/proc/${stage.job.process.pid}/environ`, 'latin1'),
      )?.[0]
    }),
  )
  expect(marks).toHaveLength(2)
  expect(marks).not.toContain(undefined)
  expect(marks[0]).not.toBe(marks[1])
})

test('when the guard has seen the tree empty that it had to end is known', async () => {
  await using stage = await Stage.set('note runs; while :; do sleep 0.02; done')
  const {job, clock} = stage
  await job.arm(stage.lock, nobody)
  job.go({})
  await stage.says(/runs/)
  const beforeMs = clock.elapsedMs() - 1000
  expect(job.endedAfter(beforeMs)).toBe(false)
  job.endSoon(stage.lock)
  await until('it to be told', () => job.endedAfter(beforeMs), soon)
  expect(job.endedAfter(clock.elapsedMs() + 1000)).toBe(false)
})

describe('nothing stays of a job that cannot be prepared', () => {
  test.skipIf(!canContainByCgroup())('its cgroup included (where one can be made)', async () => {
    const make = vi.spyOn(Cgroup, 'make')
    const tooLong = {LONG: 'x'.repeat(200_000)}
    await expect(Stage.set('', {wish: 'cgroup', env: tooLong})).rejects.toMatchObject({code: 'notExecutable'})
    const [made] = make.mock.results
    make.mockRestore()
    expect(existsSync((made?.value as Cgroup).directory)).toBe(false)
  })
})

describe('what is left to do at etcd', () => {
  test.each([
    ['with a mark', 'leash/held/lock/größe'],
    ['without one', undefined],
  ])('is one word, and comes back as it was, %s', (_, markKey) => {
    const ticket = {
      key: "leash/lock/it's %2F größe/1f",
      lease: 0x7fffffffffffffffn as LeaseId,
      createRevision: 1n << 62n,
    }
    const other = {...ticket, key: 'leash/lock/z/1f', createRevision: 7n}
    const ending = [{ticket, ...(markKey && {markKey})}, {ticket: other}] as const
    const word = encodeEnding(ending)
    expect(word).toMatch(/^[\w-]+$/)
    expect(decodeEnding(word)).toEqual(ending)
  })

  test('names the marks of others that go with it, but no more than a command line takes', () => {
    const hold = (key: string): Dequeue => ({
      ticket: {key, lease: 1n as LeaseId, createRevision: 7n},
      settled: Array.from({length: 15}, (_, index) => `${key}/${index}`),
    })
    const [first, second] = decodeEnding(encodeEnding([hold('a'), hold('b'), hold('c')]))
    expect(first).toEqual(hold('a'))
    expect(second?.settled).toEqual(hold('b').settled?.slice(0, 5))
  })

  test.each([
    '',
    'x',
    'bnVsbA',
    'W10',
    encodeEnding([{ticket: {key: '', lease: 1n as LeaseId, createRevision: 1n}}]),
  ])('is nothing but that: %j', (word) => {
    expect(() => decodeEnding(word)).toThrow(expect.objectContaining({code: 'usage'}) as Error)
  })
})
