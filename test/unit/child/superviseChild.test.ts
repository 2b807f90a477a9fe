import {readFileSync} from 'node:fs'
import {constants} from 'node:os'
import {describe, expect, test} from 'vitest'
import type {TreeEnd} from '../../../src/lib/child/superviseChild.ts'
import {canContainByCgroup} from '../../support/cgroups.ts'
import {isAlive, isStopped} from '../../support/processes.ts'
import {until, within} from '../../support/wait.ts'
import {Stage, type StageOptions, guardOf, supervise} from './job.fixture.ts'

const soon = {withinMs: 5000}
/** Says so when TERM comes, and lives on. */
const stubborn = 'trap "note TERM" TERM; note runs; while :; do sleep 0.02; done'
/** Ends when told, or of TERM. */
const patient = 'trap "note TERM; exit 0" TERM; note runs; told end; note done'

const tiers: [string, StageOptions][] = [
  ['by a session', {wish: 'group'}],
  ...(canContainByCgroup() ? [['by a cgroup', {wish: 'cgroup'}] as [string, StageOptions]] : []),
]

describe.each(tiers)('a job that is held %s', (_, options) => {
  test('is started with what is given to it, and its end is its own', async () => {
    await using stage = await Stage.set('note "$GIVEN"; exit 3', options)
    const {end, news} = supervise(stage)
    expect(await end).toEqual({child: {code: 3}, leftovers: false, overlapSeen: false})
    expect({notes: stage.notes, news}).toEqual({notes: 'given\n', news: []})
  })

  test('has what it leaves behind ended, with TERM first', async () => {
    await using stage = await Stage.set(`(${patient}) & told leave; exit 3`, options)
    const {end} = supervise(stage)
    await stage.says(/runs/)
    stage.tell('leave')
    expect(await end).toEqual({child: {code: 3}, leftovers: true, overlapSeen: false})
    expect(stage.notes).toBe('runs\nTERM\n')
  })

  test('has what it leaves behind killed after the grace', async () => {
    await using stage = await Stage.set(`(${stubborn}) & told leave; exit 3`, options)
    const {end} = supervise(stage)
    await stage.says(/runs/)
    stage.tell('leave')
    await stage.says(/TERM/)
    stage.time.suspend(stage.lock.graceMs)
    expect(await end).toEqual({child: {code: 3}, leftovers: true, overlapSeen: false})
  })

  test('has what it leaves behind waited for, if the user wishes', async () => {
    await using stage = await Stage.set(`(${patient}) & told leave; exit 3`, options)
    const {end} = supervise(stage, 'wait')
    await stage.says(/runs/)
    stage.tell('leave')
    await until('the child to be reaped', () => stage.job.process.exitCode === 3, soon)
    stage.tell('end')
    expect(await end).toEqual({child: {code: 3}, leftovers: true, overlapSeen: false})
    expect(stage.notes).toBe('runs\ndone\n')
  })

  test('has what it leaves behind left alone, if the user wishes', async () => {
    await using stage = await Stage.set(`(${patient}) & note $!; told leave; exit 3`, options)
    const {end} = supervise(stage, 'leave')
    const pid = Number(await stage.says(/\d+/))
    await stage.says(/runs/)
    stage.tell('leave')
    expect(await end).toEqual({child: {code: 3}, leftovers: true, overlapSeen: false})
    expect(isAlive(pid)).toBe(true)
    stage.tell('end')
    await stage.says(/done/)
  })

  test('gets TERM when the lease is lost, and KILL when its time is over', async () => {
    await using stage = await Stage.set(`(${stubborn}) & ${stubborn}`, options)
    const {end} = supervise(stage)
    await stage.says(/runs\nruns/)
    stage.skipTo('TERM')
    await stage.says(/TERM\nTERM/)
    stage.skipTo('KILL')
    const cause = {kind: 'unconfirmed', killAtMs: expect.any(Number) as number}
    expect(await end).toMatchObject({child: {signal: 'SIGKILL'}, cause, overlapSeen: false})
  })

  test('is killed without TERM when the ticket is gone', async () => {
    await using stage = await Stage.set(stubborn, options)
    const {end} = supervise(stage)
    await stage.says(/runs/)
    stage.lock.childStarted()
    stage.store.etcd.remove(stage.lock.places[0].ticket.key)
    expect(await end).toMatchObject({child: {signal: 'SIGKILL'}, cause: {kind: 'ticketGone'}})
    expect(stage.notes).toBe('runs\n')
  })

  test('is ended when its guard dies, with TERM first', async () => {
    await using stage = await Stage.set(patient, options)
    const {end} = supervise(stage)
    await stage.says(/runs/)
    process.kill(guardOf(stage.job), 'SIGKILL')
    expect(await end).toMatchObject({child: {code: 0}, cause: {kind: 'unguarded'}})
    expect(stage.notes).toBe('runs\nTERM\n')
  })
})

describe('nothing is started', () => {
  const start = async (before: (stage: Stage) => void | Promise<void>): Promise<[TreeEnd, string]> => {
    await using stage = await Stage.set('note started')
    await before(stage)
    return [await supervise(stage).end, stage.notes]
  }

  test('when the lease was lost just before', async () => {
    const [end, notes] = await start((stage) => stage.skipTo('TERM'))
    expect(end).toMatchObject({cause: {kind: 'unconfirmed'}})
    expect(notes).toBe('')
  })

  describe('if TERM is to be ignored, either:', () => {
    const ignoringTerm = async (): Promise<Stage> => {
      const stage = await Stage.set('note started', {ignoredSignals: [constants.signals.SIGTERM]})
      const status = (): string => readFileSync(`/proc/${stage.job.process.pid}/status`, 'latin1')
      await until('TERM to be ignored', () => /^SigIgn:\t0*4000$/m.test(status()), soon)
      return stage
    }

    test('when the lease was lost just before', async () => {
      await using stage = await ignoringTerm()
      stage.skipTo('TERM')
      const {end} = supervise(stage)
      stage.skipTo('KILL')
      expect(await end).toMatchObject({child: {signal: 'SIGKILL'}, cause: {kind: 'unconfirmed'}})
      expect(stage.notes).toBe('')
    })

    test('when the lease was lost, and then the ticket was seen gone: there is no grace', async () => {
      await using stage = await ignoringTerm()
      stage.skipTo('TERM')
      stage.store.etcd.remove(stage.lock.places[0].ticket.key)
      stage.lock.childStarted()
      await until('the ticket to be missed', () => stage.lock.gone.aborted, soon)
      const end = await within('the kill', supervise(stage).end, soon)
      expect(end).toMatchObject({child: {signal: 'SIGKILL'}})
      expect(stage.notes).toBe('')
    })
  })

  test('when the ticket was seen gone just before', async () => {
    const [end, notes] = await start(async ({store, lock}) => {
      store.etcd.remove(lock.places[0].ticket.key)
      lock.childStarted()
      await until('the ticket to be missed', () => lock.gone.aborted, soon)
    })
    expect(end).toMatchObject({cause: {kind: 'ticketGone'}})
    expect(notes).toBe('')
  })

  test('when the guard died just before', async () => {
    const [end, notes] = await start(async ({job}) => {
      process.kill(guardOf(job), 'SIGKILL')
      await until('its death to be noticed', () => job.guard.died.aborted, soon)
    })
    expect(end).toMatchObject({cause: {kind: 'unguarded'}})
    expect(notes).toBe('')
  })

  test('when the process that was to become the job was killed just before', async () => {
    const [end, notes] = await start(async ({job}) => {
      job.process.kill('SIGKILL')
      await until('its death to be noticed', () => job.process.signalCode !== null, soon)
    })
    expect(end).toMatchObject({child: {signal: 'SIGKILL'}})
    expect(notes).toBe('')
  })
})

test('a job that the guard had to end while we stood still is lost, though its end is seen first', async () => {
  await using stage = await Stage.set(stubborn)
  const {end} = supervise(stage)
  await stage.says(/runs/)
  stage.suspendTo('KILL')
  stage.job.endSoon(stage.lock)
  expect(await end).toMatchObject({
    child: {signal: 'SIGKILL'},
    cause: {kind: 'unconfirmed'},
    overlapSeen: false,
  })
})

test('what is left behind and waited for is ended when the lease is lost', async () => {
  await using stage = await Stage.set(`(${patient}) & told leave; exit 3`)
  const {end} = supervise(stage, 'wait')
  await stage.says(/runs/)
  stage.tell('leave')
  await until('the child to be reaped', () => stage.job.process.exitCode === 3, soon)
  stage.skipTo('TERM')
  expect(await end).toEqual({child: {code: 3}, leftovers: true, overlapSeen: false})
  expect(stage.notes).toBe('runs\nTERM\n')
})

test('a signal for the job reaches its process group, stopped ones too, and nobody who left it', async () => {
  const script = 'trap "note HUP; exit 0" HUP; note runs; while :; do sleep 0.02; done'
  await using stage = await Stage.set(`setsid sleep 1000 & note "away $!"; ${script}`)
  const run = supervise(stage, 'leave')
  const away = Number((await stage.says(/away (\d+)/)).slice('away '.length))
  await stage.says(/runs/)
  const {pid = 0} = stage.job.process
  process.kill(pid, 'SIGSTOP')
  await until('it to stop', () => isStopped(pid), soon)
  run.forward('SIGHUP')
  expect(await run.end).toMatchObject({child: {code: 0}, leftovers: true})
  expect(isAlive(away)).toBe(true)
  process.kill(away, 'SIGKILL')
})

test('a signal that comes after the end reaches nobody', async () => {
  await using stage = await Stage.set('exit 0')
  const run = supervise(stage)
  await run.end
  expect(() => run.forward('SIGHUP')).not.toThrow()
})
