import {describe, expect, test} from 'vitest'
import type {LossCause} from '../../../src/lib/core/session.ts'
import {
  type ChildEnd,
  type EndCause,
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
const unguarded: EndCause = {kind: 'unguarded'}

const states = {
  running: {state: 'running'},
  lingering: {state: 'lingering', end},
  leaving: {state: 'leaving', end, killAtMs},
  stopping: {state: 'stopping', cause: loss, killAtMs},
  'stopping, the child ended': {state: 'stopping', cause: loss, end, killAtMs},
  'stopping without a guard': {state: 'stopping', cause: unguarded, killAtMs},
  'killing after a loss': {state: 'killing', cause: loss},
  'killing leftovers': {state: 'killing', end},
  'empty by itself': {state: 'empty', end},
  'empty after a loss': {state: 'empty', cause: loss, end},
} satisfies Record<string, Supervision>

const childEnded = {type: 'childEnded', end: otherEnd, nowMs: 2000, graceMs: 1000} as const
const events = {
  'childEnded, the last one': {...childEnded, treeEmpty: true, leftovers: 'kill'},
  'childEnded, others stay and are to be killed': {...childEnded, treeEmpty: false, leftovers: 'kill'},
  'childEnded, others stay and are waited for': {...childEnded, treeEmpty: false, leftovers: 'wait'},
  'childEnded, others stay and are left alone': {...childEnded, treeEmpty: false, leftovers: 'leave'},
  'lost, KILL sooner': {
    type: 'lost',
    cause: {...loss, killAtMs: 4000, entitledUntilMs: 9999, reason: 'later'},
    nowMs: 3000,
  },
  'lost, KILL later': {type: 'lost', cause: {...loss, killAtMs: 6000, reason: 'later'}, nowMs: 3000},
  'lost, KILL due': {type: 'lost', cause: {...loss, killAtMs: 3000, reason: 'later'}, nowMs: 3000},
  ticketGone: {type: 'ticketGone'},
  guardDied: {type: 'guardDied', nowMs: 2500, graceMs: 1000},
  'clock before KILL': {type: 'clock', nowMs: killAtMs - 1},
  'clock at KILL': {type: 'clock', nowMs: killAtMs},
  treeEmpty: {type: 'treeEmpty'},
} satisfies Record<string, SupervisionEvent>

type State = keyof typeof states
type Event = keyof typeof events
type Cell = [to: Supervision, effect?: SupervisionEffect]
type Row = {[E in Event]?: Cell}

const losses = {
  sooner: events['lost, KILL sooner'].cause,
  later: events['lost, KILL later'].cause,
  due: events['lost, KILL due'].cause,
}

/** A child that ended is remembered, whatever the user wishes for what it left: that ends, too. */
const remembering = (to: Supervision): Row => ({
  'childEnded, others stay and are to be killed': [to],
  'childEnded, others stay and are waited for': [to],
  'childEnded, others stay and are left alone': [to],
})

const onStopping = (now: Supervision & {state: 'stopping'}): Row => {
  const {state: _, killAtMs: __, ...rest} = now
  return {
    ...remembering({...now, end: otherEnd}),
    'childEnded, the last one': [{state: 'empty', cause: now.cause, end: otherEnd}],
    'lost, KILL sooner': [{...now, killAtMs: 4000}],
    'lost, KILL due': [{...now, killAtMs: 3000}],
    ticketGone: [{...rest, state: 'killing'}, 'kill'],
    'clock at KILL': [{...rest, state: 'killing'}, 'kill'],
    treeEmpty: [{...rest, state: 'empty'}],
  }
}

/** Every cell in which something changes; all others stay as they are, without an effect. */
const changes: {[S in State]: Row} = {
  running: {
    'childEnded, the last one': [{state: 'empty', end: otherEnd}],
    'childEnded, others stay and are to be killed': [
      {state: 'leaving', end: otherEnd, killAtMs: 3000},
      'terminate',
    ],
    'childEnded, others stay and are waited for': [{state: 'lingering', end: otherEnd}],
    'childEnded, others stay and are left alone': [{state: 'empty', end: otherEnd}],
    'lost, KILL sooner': [{state: 'stopping', cause: losses.sooner, killAtMs: 4000}, 'terminate'],
    'lost, KILL later': [{state: 'stopping', cause: losses.later, killAtMs: 6000}, 'terminate'],
    'lost, KILL due': [{state: 'killing', cause: losses.due}, 'kill'],
    ticketGone: [{state: 'killing', cause: gone}, 'kill'],
    guardDied: [{state: 'stopping', cause: unguarded, killAtMs: 3500}, 'terminate'],
  },
  lingering: {
    'lost, KILL sooner': [{state: 'leaving', end, killAtMs: 4000}, 'terminate'],
    'lost, KILL later': [{state: 'leaving', end, killAtMs: 6000}, 'terminate'],
    'lost, KILL due': [{state: 'leaving', end, killAtMs: 3000}, 'terminate'],
    ticketGone: [{state: 'killing', end}, 'kill'],
    guardDied: [{state: 'leaving', end, killAtMs: 3500}, 'terminate'],
    treeEmpty: [{state: 'empty', end}],
  },
  leaving: {
    'lost, KILL sooner': [{state: 'leaving', end, killAtMs: 4000}],
    'lost, KILL due': [{state: 'leaving', end, killAtMs: 3000}],
    ticketGone: [{state: 'killing', end}, 'kill'],
    'clock at KILL': [{state: 'killing', end}, 'kill'],
    treeEmpty: [{state: 'empty', end}],
  },
  stopping: onStopping(states.stopping),
  'stopping, the child ended': onStopping(states['stopping, the child ended']),
  'stopping without a guard': onStopping(states['stopping without a guard']),
  'killing after a loss': {
    ...remembering({state: 'killing', cause: loss, end: otherEnd}),
    'childEnded, the last one': [{state: 'empty', cause: loss, end: otherEnd}],
    treeEmpty: [{state: 'empty', cause: loss}],
  },
  'killing leftovers': {
    ...remembering({state: 'killing', end: otherEnd}),
    'childEnded, the last one': [{state: 'empty', end: otherEnd}],
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
