import {describe, expect, test} from 'vitest'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'
import type {RenewalEvidence} from '../../../src/lib/core/ports.ts'
import {
  type Session,
  type SessionEffect,
  type SessionEvent,
  judge,
  transition,
} from '../../../src/lib/core/session.ts'
import {timeline} from '../../../src/lib/core/timeline.ts'

/** TERM 1.13 s after `sent`, KILL after 1.73 s, a warning after 565 ms. */
const short = timeline(2000, {lockDelayMs: 0})
const long = timeline(30_000, {lockDelayMs: 0})
const sentAtMs = 1000
const termAtMs = 1000 + short.termAfterMs
const killAtMs = 1000 + short.killAfterMs
const entitledUntilMs = 1000 + short.entitledMs
const warnAtMs = 1000 + short.warnAfterMs

const entitled = {timeline: short, sentAtMs}
const sessions = {
  pending: {state: 'pending'},
  held: {state: 'held', ...entitled, guarded: false},
  'held, guarded': {state: 'held', ...entitled, guarded: true},
  jeopardy: {state: 'jeopardy', ...entitled, guarded: false, cause: 'why', announced: false},
  'jeopardy, guarded': {state: 'jeopardy', ...entitled, guarded: true, cause: 'why', announced: false},
  'jeopardy, announced': {state: 'jeopardy', ...entitled, guarded: true, cause: 'why', announced: true},
  lost: {state: 'lost', cause: {kind: 'unconfirmed', sentAtMs, killAtMs, entitledUntilMs, reason: 'first'}},
  released: {state: 'released'},
} satisfies Record<string, Session>

const events = {
  confirmed: {type: 'confirmed', sentAtMs: 1500, timeline: long},
  'confirmed, of the same renewal': {type: 'confirmed', sentAtMs, timeline: long},
  'confirmed, of an older renewal': {type: 'confirmed', sentAtMs: 999, timeline: long},
  renewalFailed: {type: 'renewalFailed', reason: 'why not'},
  guarded: {type: 'guarded'},
  'clock before the warning': {type: 'clock', nowMs: warnAtMs - 0.001},
  'clock at the warning': {type: 'clock', nowMs: warnAtMs},
  'clock before TERM': {type: 'clock', nowMs: termAtMs - 0.001},
  'clock at TERM': {type: 'clock', nowMs: termAtMs},
  'clock after KILL': {type: 'clock', nowMs: killAtMs + 3_600_000},
  ticketGone: {type: 'ticketGone'},
  released: {type: 'released'},
} satisfies Record<string, SessionEvent>

type State = keyof typeof sessions
type Event = keyof typeof events
interface Cell {
  to: Session
  effects?: SessionEffect[]
}

const held = (sent: number, guarded: boolean): Cell => ({
  to: {state: 'held', timeline: long, sentAtMs: sent, guarded},
})
const recovered = (sent: number): Cell => ({...held(sent, true), effects: [{effect: 'announceRecovery'}]})
const released: Cell = {to: {state: 'released'}}
const gone: Cell = {
  to: {state: 'lost', cause: {kind: 'ticketGone'}},
  effects: [{effect: 'lose', cause: {kind: 'ticketGone'}}],
}
const lost = (reason: string): Cell => {
  const cause = {kind: 'unconfirmed' as const, sentAtMs, killAtMs, entitledUntilMs, reason}
  return {to: {state: 'lost', cause}, effects: [{effect: 'lose', cause}]}
}
const stood = lost('leash did not run for a while (a suspend, or a stop)')
const announced: Cell = {
  to: sessions['jeopardy, announced'],
  effects: [{effect: 'announceJeopardy', termAtMs, reason: 'why'}],
}
const inJeopardy = (guarded: boolean): Cell => ({
  to: {state: 'jeopardy', ...entitled, guarded, cause: 'why not', announced: false},
})

/** Every cell in which something changes; all others stay as they are, without an effect. */
const changes: {[S in State]: {[E in Event]?: Cell}} = {
  pending: {
    confirmed: held(1500, false),
    'confirmed, of the same renewal': held(1000, false),
    'confirmed, of an older renewal': held(999, false),
    ticketGone: gone,
    released,
  },
  held: {
    confirmed: held(1500, false),
    'confirmed, of the same renewal': held(1000, false),
    renewalFailed: inJeopardy(false),
    guarded: {to: sessions['held, guarded']},
    ticketGone: gone,
    released,
  },
  'held, guarded': {
    confirmed: held(1500, true),
    'confirmed, of the same renewal': held(1000, true),
    renewalFailed: inJeopardy(true),
    'clock at TERM': stood,
    'clock after KILL': stood,
    ticketGone: gone,
    released,
  },
  jeopardy: {
    confirmed: held(1500, false),
    'confirmed, of the same renewal': held(1000, false),
    guarded: {to: sessions['jeopardy, guarded']},
    ticketGone: gone,
    released,
  },
  'jeopardy, guarded': {
    confirmed: held(1500, true),
    'confirmed, of the same renewal': held(1000, true),
    'clock at the warning': announced,
    'clock before TERM': announced,
    'clock at TERM': lost('why'),
    'clock after KILL': lost('why'),
    ticketGone: gone,
    released,
  },
  'jeopardy, announced': {
    confirmed: recovered(1500),
    'confirmed, of the same renewal': recovered(1000),
    'clock at TERM': lost('why'),
    'clock after KILL': lost('why'),
    ticketGone: gone,
    released,
  },
  lost: {released},
  released: {},
}

describe.each(Object.keys(sessions) as State[])('%s', (state) => {
  test.each(Object.keys(events) as Event[])('on %s', (event) => {
    const {to, effects = []} = changes[state][event] ?? {to: sessions[state]}
    expect(transition(sessions[state], events[event])).toEqual({session: to, effects})
  })
})

describe('an attempt at a renewal', () => {
  const ticket = {key: 'q/1', lease: 1n as LeaseId, createRevision: 40n}
  const other = {...ticket, key: 'r/1', createRevision: 41n}
  const alive: RenewalEvidence = {
    sentAtMs,
    ttlMs: 30_000,
    keepAliveTerm: 5n,
    readTerm: 5n,
    createRevisions: [40n],
  }

  test('confirms when lease, ticket and term are what they were', () => {
    expect(judge(alive, [ticket])).toEqual({is: 'confirmed'})
  })

  test('proves nothing when a leader answered that was deposed before the ticket was read', () => {
    expect(judge({...alive, readTerm: 6n}, [ticket])).toMatchObject({is: 'unproven'})
    expect(judge({...alive, keepAliveTerm: 6n}, [ticket])).toMatchObject({is: 'unproven'})
  })

  test('proves nothing when the member that answered does not know the lease, while the ticket stands', () => {
    expect(judge({...alive, ttlMs: 0}, [ticket])).toMatchObject({is: 'unproven'})
    expect(judge({...alive, ttlMs: -1}, [ticket])).toMatchObject({is: 'unproven'})
  })

  test.each([
    ['is not there', undefined],
    ['was deleted and put anew', 41n],
  ])('says that the ticket is gone when it %s, whatever else was answered', (_, createRevision) => {
    const evidence = {...alive, createRevisions: [createRevision]}
    expect(judge(evidence, [ticket])).toEqual({is: 'ticketGone'})
    expect(judge({...evidence, ttlMs: 0}, [ticket])).toEqual({is: 'ticketGone'})
    expect(judge({...evidence, readTerm: 6n}, [ticket])).toEqual({is: 'ticketGone'})
  })

  test.each([
    ['both', [40n, 41n], 'confirmed'],
    ['the first', [40n, undefined], 'ticketGone'],
    ['the second', [undefined, 41n], 'ticketGone'],
    ['others in their places', [41n, 40n], 'ticketGone'],
    ['fewer', [40n], 'ticketGone'],
  ])('of two tickets, which finds %s, decides for both', (_, createRevisions, is) => {
    expect(judge({...alive, createRevisions}, [ticket, other])).toEqual({is})
  })
})
