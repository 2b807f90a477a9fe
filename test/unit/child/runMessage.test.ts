import {describe, expect, test} from 'vitest'
import {runMessage} from '../../../src/lib/child/runMessage.ts'
import type {RunOutcome} from '../../../src/lib/child/runUnderLock.ts'
import type {FencingToken} from '../../../src/lib/core/identifiers.ts'

const hold = {fence: 7n as FencingToken, key: 'k', lease: 'a', waitedMs: 0, heldMs: 0, child: {code: 3}}
const ended = {outcome: 'ended', leftovers: false, release: 'removed', ...hold} as const
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
    expect(runMessage(outcome, false)).toBeUndefined()
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
    ['of a wait that ran out', {outcome: 'waitedOut', waitedMs: 5}, /^not acquired: the wait ran out; /],
    [
      'of a ticket that was taken away',
      {outcome: 'lost', cause: {kind: 'ticketGone'}, late: false, ...hold},
      /^the lock was taken away .* the job was killed; /,
    ],
    [
      'of a lease that could not be renewed, with the reason',
      {outcome: 'lost', cause: unconfirmed, late: false, ...hold},
      /^the lease was lost \(http:\/\/db1:2379: no answer in time\) and the job was ended before .*; check etcd and the network$/,
    ],
    [
      'of a tree that was seen empty only when somebody else may have started',
      {outcome: 'lost', cause: unconfirmed, late: true, ...hold},
      /^the lease was lost .* ended only when others may have started; check what both did$/,
    ],
    [
      'of processes left behind',
      {...ended, leftovers: true},
      /^the job left processes behind, which were ended; /,
    ],
    ['of a release that was not answered', {...ended, release: 'failed'}, /^the release was not answered; /],
    [
      'of a lock that was gone before the job ended',
      {...ended, release: 'gone'},
      /^the lock was gone already .*; find out who removed it$/,
    ],
  ])('%s', (_, outcome, line) => {
    expect(runMessage(outcome, true)).toMatch(line)
  })

  test('of both, when two things are to be said', () => {
    const message = runMessage({...ended, leftovers: true, release: 'failed'}, false)
    expect(message).toMatch(/left processes behind.*release was not answered/)
    expect(message).not.toContain('\n')
  })
})
