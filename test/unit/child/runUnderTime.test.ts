import {rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {expect, test} from 'vitest'
import {runStatus} from '../../../src/lib/child/exitStatus.ts'
import {type RunOutcome, runUnderLock} from '../../../src/lib/child/runUnderLock.ts'
import {SignalInbox} from '../../../src/lib/child/signalInbox.ts'
import {Clock} from '../../../src/lib/core/clock.ts'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'
import {FakeStore} from '../../support/fakeStore.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {until} from '../../support/wait.ts'
import {BentTime, guardProgram, lockRequest} from './job.fixture.ts'
import {inheritance} from './inheritance.fixture.ts'

/** A run of a job that ends by itself once `finish` is called. */
class Run implements Disposable {
  readonly time = new BentTime()
  readonly store: FakeStore
  readonly outcome: Promise<RunOutcome>
  readonly warnings: string[] = []
  readonly #signals = new SignalInbox()
  readonly #directory = scratchDirectory('run')

  constructor(ttlMs: number) {
    const clock = new Clock(this.time)
    this.store = new FakeStore(clock)
    const script = 'trap "" TERM; until [ -e "$0" ]; do sleep 0.02; done; exit 7'
    const job = {
      argv: ['sh', '-c', script, this.#endFile] as [string, ...string[]],
      inheritance: inheritance(),
      foreground: false,
      guard: guardProgram,
      containment: {wish: 'auto', required: 'group'} as const,
    }
    const ports = {
      store: this.store,
      clock,
      newLeaseId: () => 1n as LeaseId,
      tell: () => {},
      showQueue: false,
      warn: (text: string) => this.warnings.push(text),
    }
    const lock = lockRequest(ttlMs, {lockDelayMs: 0})
    const ending = {stopSignal: 'SIGTERM', leftovers: 'kill'} as const
    this.outcome = runUnderLock({lock, job, ending}, ports, this.#signals)
  }

  /** Resolves when so many renewals have arrived. */
  renewed(count: number): Promise<boolean> {
    const renewals = (): number => this.store.arrived.filter((method) => method === 'renew').length
    return until('renewals', () => renewals() >= count, {withinMs: 10_000})
  }

  /** Resolves when the job runs and its ticket is watched. */
  watched(): Promise<boolean> {
    return until('the watch', () => this.store.arrived.includes('deletion'), {withinMs: 10_000})
  }

  finish(): void {
    writeFileSync(this.#endFile, '')
  }

  [Symbol.dispose](): void {
    this.#signals.close()
    rmSync(this.#directory, {recursive: true})
  }

  get #endFile(): string {
    return join(this.#directory, 'end')
  }
}

test('a machine that was suspended past the lease has lost it: the job is killed, and the status is 79', async () => {
  using run = new Run(30_000)
  await run.watched()
  run.time.suspend(3_600_000)
  const outcome = await run.outcome
  expect(outcome).toMatchObject({
    outcome: 'lost',
    child: {signal: 'SIGKILL'},
    cause: {kind: 'unconfirmed', killAtMs: expect.any(Number) as number},
    possibleOverlap: true,
  })
  expect(runStatus(outcome, {})).toBe(79)
  expect(run.store.etcd.under('leash/lock/')).toEqual([])
})

test('a machine that was suspended for a moment goes on', async () => {
  using run = new Run(30_000)
  await run.watched()
  run.time.suspend(8000)
  await run.renewed(1)
  run.finish()
  expect(await run.outcome).toMatchObject({outcome: 'ended', child: {code: 7}, release: 'removed'})
})

test.each([
  ['ahead', 3_600_000],
  ['back', -3_600_000],
])('a wall clock that is set an hour %s loses nothing', async (_, stepMs) => {
  using run = new Run(4000)
  await run.watched()
  run.time.stepWall(stepMs)
  await run.renewed(3)
  run.finish()
  const outcome = await run.outcome
  expect(outcome).toMatchObject({outcome: 'ended', child: {code: 7}, release: 'removed', leftovers: false})
  expect(runStatus(outcome, {})).toBe(7)
})

test('a wall clock that is set ahead has the lease confirmed long before a renewal is due', async () => {
  using run = new Run(3_600_000)
  await run.watched()
  run.time.stepWall(3_600_000)
  await run.renewed(1)
  run.finish()
  expect(await run.outcome).toMatchObject({outcome: 'ended'})
})

test('a ticket that is deleted has the job killed without grace, and the status is 79', async () => {
  using run = new Run(30_000)
  await run.watched()
  run.store.etcd.remove('leash/lock/nightly/1')
  const outcome = await run.outcome
  expect(outcome).toMatchObject({outcome: 'lost', child: {signal: 'SIGKILL'}, cause: {kind: 'ticketGone'}})
  expect(runStatus(outcome, {})).toBe(79)
})
