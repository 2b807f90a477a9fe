import {describe, expect, test} from 'vitest'
import {errorStatus, runStatus} from '../../../src/lib/child/exitStatus.ts'
import {hold} from './hold.fixture.ts'

test.each([
  ['usage', 64],
  ['unavailable', 69],
  ['bug', 70],
  ['permission', 77],
  ['config', 78],
  ['notExecutable', 126],
  ['notFound', 127],
] as const)('a fault of kind %s ends in %i', (code, status) => {
  expect(errorStatus(code)).toBe(status)
})

const ended = {outcome: 'ended', release: 'removed', ...hold} as const
const lost = {outcome: 'lost', cause: {kind: 'ticketGone'}, child: {code: 0}, ...hold} as const
const contended = {outcome: 'contended', ahead: {key: 'k', createRevision: 1n}, waitedMs: 0} as const

describe('the chosen statuses', () => {
  test('count for what they are chosen for, 0 too', () => {
    expect(runStatus(contended, {conflict: 0})).toBe(0)
    expect(runStatus({outcome: 'waitedOut', waitedMs: 0}, {conflict: 3})).toBe(3)
    expect(runStatus(lost, {lost: 0})).toBe(0)
  })

  test('count for nothing else', () => {
    const chosen = {conflict: 3, lost: 4}
    expect(runStatus({...ended, child: {code: 75}}, chosen)).toBe(75)
    expect(runStatus({...ended, child: {code: 79}}, chosen)).toBe(79)
    expect(runStatus({outcome: 'interrupted', signal: 'SIGINT', waitedMs: 0}, chosen)).toBe(130)
  })
})

test('a release that failed does not change the status of the job', () => {
  expect(runStatus({...ended, release: 'failed', child: {code: 0}}, {})).toBe(0)
  expect(runStatus({...ended, release: 'gone', child: {signal: 'SIGTERM'}}, {})).toBe(143)
})

test.each([
  ['a lost lease', lost],
  ['a job that was ended because its guard had died', {...lost, cause: {kind: 'unguarded'}}],
] as const)('%s is 79, whatever the job said', (_, outcome) => {
  expect(runStatus(outcome, {})).toBe(79)
})
