import {rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {expect, test} from 'vitest'
import {runStatus} from '../../../src/lib/child/exitStatus.ts'
import {type RunOutcome, runUnderLock} from '../../../src/lib/child/runUnderLock.ts'
import {SignalInbox} from '../../../src/lib/child/signalInbox.ts'
import {Clock, type TimeSource} from '../../../src/lib/core/clock.ts'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'
import {lockKeys} from '../../../src/lib/core/lockName.ts'
import {FakeStore} from '../../support/fakeStore.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {nowMs, until} from '../../support/wait.ts'

/** Time that really passes, on a machine whose wall clock can be set and that can be suspended. */
class BentTime implements TimeSource {
  #suspendedMs = 0
  #steppedMs = 0

  monotonicMs(): number {
    return nowMs()
  }

  bootMs(): number {
    return nowMs() + this.#suspendedMs
  }

  wallMs(): number {
    return Date.now() + this.#suspendedMs + this.#steppedMs
  }

  schedule(delayMs: number, wake: () => void): () => void {
    const timer = setTimeout(wake, delayMs)
    return () => clearTimeout(timer)
  }

  suspend(ms: number): void {
    this.#suspendedMs += ms
  }

  stepWall(ms: number): void {
    this.#steppedMs += ms
  }
}

/** A run of a job that ends by itself once `finish` is called. */
class Run implements Disposable {
  readonly time = new BentTime()
  readonly store: FakeStore
  readonly outcome: Promise<RunOutcome>
  readonly #signals = new SignalInbox()
  readonly #directory = scratchDirectory('run')

  constructor(ttlMs: number) {
    const clock = new Clock(this.time)
    this.store = new FakeStore(clock)
    const lock = {
      keys: lockKeys('leash/', 'nightly'),
      ttlMs,
      terms: {lockDelayMs: 0},
      wait: {kind: 'none' as const},
      connectTimeoutMs: 10_000,
      holder: {host: 'h', user: 'u', pid: 1},
    }
    const script = 'trap "" TERM; until [ -e "$0" ]; do sleep 0.02; done; exit 7'
    const argv = ['sh', '-c', script, this.#endFile] as const
    const ports = {
      store: this.store,
      clock,
      newLeaseId: () => 1n as LeaseId,
      tell: () => {},
      showQueue: false,
    }
    this.outcome = runUnderLock(
      {lock, argv: [...argv], env: process.env, stopSignal: 'SIGTERM'},
      ports,
      this.#signals,
    )
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
    late: true,
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
