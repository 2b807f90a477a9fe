import {describe, expect, test} from 'vitest'
import {runMessage, treeMessage} from '../../../src/lib/child/runMessage.ts'
import type {RunOutcome} from '../../../src/lib/child/runUnderLock.ts'
import {hold} from './hold.fixture.ts'

const started = {...hold, child: {code: 3}} as const
const ended = {outcome: 'ended', release: 'removed', ...started} as const
const leaving = {...ended, leftovers: true} as const
const holder = {host: 'db1', user: 'anna', pid: 4711, since: '2026-03-01T02:00:00.000Z'}
const contended: RunOutcome = {
  outcome: 'contended',
  ahead: {key: 'k', createRevision: 1n, holder},
  waitedMs: 0,
}

describe('nothing is said', () => {
  test.each<[string, RunOutcome]>([
    ['when the job ended by itself', ended],
    ['when only the answer to the release was lost', {...ended, release: 'unknown'}],
    ['when a signal came before there was a job', {outcome: 'interrupted', signal: 'SIGINT', waitedMs: 0}],
    ['when somebody else holds the lock and nobody wants to know', contended],
  ])('%s', (_, outcome) => {
    expect(runMessage(outcome, false, 'kill')).toBeUndefined()
  })

  test('when what the job left behind was waited for, as the user wished', () => {
    expect(runMessage(leaving, false, 'wait')).toBeUndefined()
  })
})

describe('a line is said, with a way out', () => {
  const unconfirmed = {
    kind: 'unconfirmed',
    sentAtMs: 0,
    killAtMs: 1,
    entitledUntilMs: 2,
    reason: 'http://db1:2379: no answer in time',
  } as const
  test.each<[string, RunOutcome, RegExp]>([
    [
      'of who holds the lock',
      contended,
      /^not acquired: held by anna@db1 \(pid 4711\) since 2026-03-01T02:00:00.000Z; /,
    ],
    [
      'of another program',
      {...contended, ahead: {key: 'app/1f', createRevision: 1n}},
      /^not acquired: held by another program \(app\/1f\); /,
    ],
    [
      'of a candidate, by its proposal',
      {...contended, ahead: {key: 'app/1f', createRevision: 1n, value: 'web-1:"x"\n'}},
      /^not acquired: held by "web-1:\\"x\\"\\n" \(app\/1f\); /,
    ],
    [
      'of a candidate with a long proposal, by its beginning',
      {...contended, ahead: {key: 'app/1f', createRevision: 1n, value: 'x'.repeat(1000)}},
      /^not acquired: held by "x{60}…" \(app\/1f\); /,
    ],
    ['of a wait that ran out', {outcome: 'waitedOut', waitedMs: 5}, /^not acquired: the wait ran out; /],
    [
      'of a ticket that was taken away',
      {outcome: 'lost', cause: {kind: 'ticketGone'}, ...started},
      /^it was taken away .* the job was killed; find out who did it$/,
    ],
    [
      'of a ticket that was taken away before the job started',
      {outcome: 'lost', cause: {kind: 'ticketGone'}, ...hold},
      /^it was taken away .* the job was not started; /,
    ],
    [
      'of a guard that was killed',
      {outcome: 'lost', cause: {kind: 'unguarded'}, ...started},
      /^the guard, .* was killed and the job was ended before anybody else could start; find out who did it$/,
    ],
    [
      'of a lease that could not be renewed, with the reason',
      {outcome: 'lost', cause: unconfirmed, ...started},
      /^the lease was lost \(http:\/\/db1:2379: no answer in time\) and the job was ended before .*; find out why it was not confirmed$/,
    ],
    [
      'of a tree that was seen empty only when somebody else may have started',
      {outcome: 'lost', cause: unconfirmed, ...started, possibleOverlap: true},
      /^the lease was lost .* the job was ended; POSSIBLE OVERLAP: .* when others may have started; check what both did$/,
    ],
    [
      'of the same when the job had ended by itself',
      {...ended, possibleOverlap: true, release: 'failed'},
      /^POSSIBLE OVERLAP: .* when others may have started; check what both did$/,
    ],
    ['of processes left behind', leaving, /^the job left processes behind, which were ended; /],
    ['of a release that was not answered', {...ended, release: 'failed'}, /^the release was not answered; /],
    [
      'of a lock that was gone before the job ended',
      {...ended, release: 'gone'},
      /^the lock was gone already .*; find out who removed it$/,
    ],
  ])('%s', (_, outcome, line) => {
    expect(runMessage(outcome, true, 'kill')).toMatch(line)
  })

  test('of processes left behind that go on, as the user wished', () => {
    expect(runMessage(leaving, true, 'leave')).toBe(
      'the job left processes behind, which go on without the lock',
    )
  })

  test('of both, when two things are to be said', () => {
    const message = runMessage({...leaving, release: 'failed'}, false, 'kill')
    expect(message).toMatch(/left processes behind.*release was not answered/)
    expect(message).not.toContain('\n')
  })
})

describe('while a tree cannot be ended', () => {
  test('says which processes it is, and that the lock is kept', () => {
    expect(treeMessage({kind: 'unkillable', pids: [12, 34]})).toMatch(
      /^processes of the job \(pid 12, 34\) cannot be killed: .*; the lock is kept .*; end them$/,
    )
  })

  test('says so when they may not be looked at, either', () => {
    expect(treeMessage({kind: 'unkillable', pids: []})).toMatch(
      /\(which may not be looked at\) cannot be killed/,
    )
  })

  test('says POSSIBLE OVERLAP when the lease has run out', () => {
    expect(treeMessage({kind: 'overlapPossible'})).toMatch(/^POSSIBLE OVERLAP: the lease has run out/)
  })
})
