import {describe, expect, test} from 'vitest'
import type {LossCause} from '../../../src/lib/core/session.ts'
import {
  type ChildEnd,
  type Supervision,
  type SupervisionEffect,
  type SupervisionEvent,
  supervise,
} from '../../../src/lib/child/supervision.ts'

const killAtMs = 5000
const end: ChildEnd = {code: 3}
const otherEnd: ChildEnd = {signal: 'SIGTERM'}
const loss: LossCause & {kind: 'unconfirmed'} = {
  kind: 'unconfirmed',
  sentAtMs: 0,
  killAtMs,
  entitledUntilMs: killAtMs + 250,
  reason: 'first',
}
const gone: LossCause = {kind: 'ticketGone'}

const states = {
  running: {state: 'running'},
  leaving: {state: 'leaving', end, killAtMs},
  stopping: {state: 'stopping', cause: loss, killAtMs},
  'stopping, the child ended': {state: 'stopping', cause: loss, end, killAtMs},
  'killing after a loss': {state: 'killing', cause: loss},
  'killing leftovers': {state: 'killing', end},
  'empty by itself': {state: 'empty', end},
  'empty after a loss': {state: 'empty', cause: loss, end},
} satisfies Record<string, Supervision>

const childEnded = {type: 'childEnded', end: otherEnd, nowMs: 2000, graceMs: 1000} as const
const events = {
  'childEnded, the last one': {...childEnded, treeEmpty: true},
  'childEnded, others stay': {...childEnded, treeEmpty: false},
  'lost, KILL sooner': {
    type: 'lost',
    cause: {...loss, killAtMs: 4000, entitledUntilMs: 9999, reason: 'later'},
    nowMs: 3000,
  },
  'lost, KILL later': {type: 'lost', cause: {...loss, killAtMs: 6000, reason: 'later'}, nowMs: 3000},
  'lost, KILL due': {type: 'lost', cause: {...loss, killAtMs: 3000, reason: 'later'}, nowMs: 3000},
  ticketGone: {type: 'ticketGone'},
  'clock before KILL': {type: 'clock', nowMs: killAtMs - 1},
  'clock at KILL': {type: 'clock', nowMs: killAtMs},
  treeEmpty: {type: 'treeEmpty'},
} satisfies Record<string, SupervisionEvent>

type State = keyof typeof states
type Event = keyof typeof events
type Cell = [to: Supervision, effect?: SupervisionEffect]

const losses = {
  sooner: events['lost, KILL sooner'].cause,
  later: events['lost, KILL later'].cause,
  due: events['lost, KILL due'].cause,
}

/** Every cell in which something changes; all others stay as they are, without an effect. */
const changes: {[S in State]: {[E in Event]?: Cell}} = {
  running: {
    'childEnded, the last one': [{state: 'empty', end: otherEnd}],
    'childEnded, others stay': [{state: 'leaving', end: otherEnd, killAtMs: 3000}, 'terminate'],
    'lost, KILL sooner': [{state: 'stopping', cause: losses.sooner, killAtMs: 4000}, 'terminate'],
    'lost, KILL later': [{state: 'stopping', cause: losses.later, killAtMs: 6000}, 'terminate'],
    'lost, KILL due': [{state: 'killing', cause: losses.due}, 'kill'],
    ticketGone: [{state: 'killing', cause: gone}, 'kill'],
  },
  leaving: {
    'lost, KILL sooner': [{state: 'leaving', end, killAtMs: 4000}],
    'lost, KILL due': [{state: 'leaving', end, killAtMs: 3000}],
    ticketGone: [{state: 'killing', end}, 'kill'],
    'clock at KILL': [{state: 'killing', end}, 'kill'],
    treeEmpty: [{state: 'empty', end}],
  },
  stopping: {
    'childEnded, the last one': [{state: 'empty', cause: loss, end: otherEnd}],
    'childEnded, others stay': [{state: 'stopping', cause: loss, end: otherEnd, killAtMs}],
    ticketGone: [{state: 'killing', cause: loss}, 'kill'],
    'clock at KILL': [{state: 'killing', cause: loss}, 'kill'],
    treeEmpty: [{state: 'empty', cause: loss}],
  },
  'stopping, the child ended': {
    'childEnded, the last one': [{state: 'empty', cause: loss, end: otherEnd}],
    'childEnded, others stay': [{state: 'stopping', cause: loss, end: otherEnd, killAtMs}],
    ticketGone: [{state: 'killing', cause: loss, end}, 'kill'],
    'clock at KILL': [{state: 'killing', cause: loss, end}, 'kill'],
    treeEmpty: [{state: 'empty', cause: loss, end}],
  },
  'killing after a loss': {
    'childEnded, the last one': [{state: 'empty', cause: loss, end: otherEnd}],
    'childEnded, others stay': [{state: 'killing', cause: loss, end: otherEnd}],
    treeEmpty: [{state: 'empty', cause: loss}],
  },
  'killing leftovers': {
    'childEnded, the last one': [{state: 'empty', end: otherEnd}],
    'childEnded, others stay': [{state: 'killing', end: otherEnd}],
    treeEmpty: [{state: 'empty', end}],
  },
  'empty by itself': {},
  'empty after a loss': {},
}

describe.each(Object.keys(states) as State[])('%s', (state) => {
  test.each(Object.keys(events) as Event[])('on %s', (event) => {
    const [supervision, effect] = changes[state][event] ?? [states[state]]
    expect(supervise(states[state], events[event])).toEqual({
      supervision,
      ...(effect !== undefined && {effect}),
    })
  })
})
