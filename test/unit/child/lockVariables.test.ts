import {expect, test} from 'vitest'
import {describeLock, lockVariables} from '../../../src/lib/child/lockVariables.ts'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'

const lease = 0xabcn as LeaseId
const one = describeLock('a', {key: 'leash/lock/a/abc', lease, createRevision: 7n})
const other = describeLock('b', {key: 'leash/lock/b/abc', lease, createRevision: 8n})
const place = {LEASH_FENCE: '7', LEASH_LEASE: 'abc', LEASH_KEY: 'leash/lock/a/abc'}

test('a lock is known by LEASH_LOCK, and what another leash has left is taken away', () => {
  const none = {LEASH_ELECTION: undefined, LEASH_LOCKS: undefined}
  expect(lockVariables([one], lease)).toStrictEqual({...place, LEASH_LOCK: 'a', ...none})
})

test('an election is known by LEASH_ELECTION, and not by the lock that its candidate was started under', () => {
  const none = {LEASH_LOCK: undefined, LEASH_LOCKS: undefined}
  expect(lockVariables([one], lease, 'election')).toStrictEqual({...place, LEASH_ELECTION: 'a', ...none})
})

test('several locks are known by LEASH_LOCKS only', () => {
  const {LEASH_LOCKS = '', ...others} = lockVariables([one, other], lease)
  expect(JSON.parse(LEASH_LOCKS)).toEqual([
    {lock: 'a', fence: '7', key: 'leash/lock/a/abc', lease: 'abc'},
    {lock: 'b', fence: '8', key: 'leash/lock/b/abc', lease: 'abc'},
  ])
  expect(others).toStrictEqual({
    LEASH_LOCK: undefined,
    LEASH_ELECTION: undefined,
    LEASH_FENCE: undefined,
    LEASH_LEASE: undefined,
    LEASH_KEY: undefined,
  })
})
