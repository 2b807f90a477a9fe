import {expect, test} from 'vitest'
import {describeQueue} from '../../../src/lib/output/waitingDisplay.ts'

const holder = {host: 'db1', user: 'anna', pid: 4711, since: '2026-03-01T02:00:00.000Z'}
const first = {key: 'leash/lock/x/1f', createRevision: 1n, holder}

test.each([
  ['nothing is known', {}, 'x: waiting for the holder'],
  ['one is ahead', {ahead: 1, first}, 'x: waiting for anna@db1 (pid 4711) since 2026-03-01T02:00:00.000Z'],
  [
    'three are ahead',
    {ahead: 3, first},
    'x: waiting for anna@db1 (pid 4711) since 2026-03-01T02:00:00.000Z, 2 more ahead of us',
  ],
  [
    'another program holds it',
    {ahead: 2, first: {key: 'app/1f', createRevision: 1n}},
    'x: waiting for another program (app/1f), 1 more ahead of us',
  ],
])('says whom we wait for when %s', (_, queue, text) => {
  expect(describeQueue({name: 'x', ...queue})).toBe(text)
})
