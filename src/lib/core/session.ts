import {unreachable} from './errors.ts'
import type {RenewalEvidence} from './ports.ts'
import type {Timeline} from './timeline.ts'
import type {Ticket} from './ticket.ts'

/**
 * A lease that this process keeps alive, and what is known of it. Pure: `LiveSession` performs the effects.
 *
 * | state \ event | confirmed | renewalFailed | guarded | clock | ticketGone | released |
 * |---|---|---|---|---|---|---|
 * | pending | held | - | - | - | lost | released |
 * | held | held, later | jeopardy | held, guarded | lost at TERM, if guarded | lost | released |
 * | jeopardy | held, *recovered* if it was announced | - | jeopardy, guarded | *announced* half-way to TERM, lost at TERM, both if guarded | lost | released |
 * | lost | - | - | - | - | - | released |
 * | released | - | - | - | - | - | - |
 *
 * A waiter's session is not *guarded*: no child depends on it, so an outage is waited out and only the sight of a
 * missing ticket loses it. `lost` keeps its first cause: a recovery after TERM changes nothing.
 */
export type Session =
  | {state: 'pending'}
  | ({state: 'held'} & Entitlement)
  | ({state: 'jeopardy'; cause: string; announced: boolean} & Entitlement)
  | {state: 'lost'; cause: LossCause}
  | {state: 'released'}

/** What a confirmed renewal gives. */
interface Entitlement {
  timeline: Timeline
  sentAtMs: number
  guarded: boolean
}

/** Why a lease no longer entitles us to anything. */
export type LossCause =
  /** No renewal was confirmed in time: TERM now, KILL at `killAtMs` (which may be past, after a suspend). */
  | {kind: 'unconfirmed'; sentAtMs: number; killAtMs: number; entitledUntilMs: number; reason: string}
  /** The ticket was seen missing: revoked, deleted, expired. KILL now. */
  | {kind: 'ticketGone'}

export type SessionEvent =
  | {type: 'confirmed'; sentAtMs: number; timeline: Timeline}
  | {type: 'renewalFailed'; reason: string}
  /** A child is about to depend on the lease. */
  | {type: 'guarded'}
  | {type: 'clock'; nowMs: number}
  | {type: 'ticketGone'}
  | {type: 'released'}

export type SessionEffect =
  | {effect: 'announceJeopardy'; termAtMs: number; reason: string}
  | {effect: 'announceRecovery'}
  | {effect: 'lose'; cause: LossCause}

interface Step {
  session: Session
  effects: readonly SessionEffect[]
}

/** What happens next: the table above. */
export function transition(session: Session, event: SessionEvent): Step {
  switch (session.state) {
    case 'pending':
      return fromPending(session, event)
    case 'held':
    case 'jeopardy':
      return fromEntitled(session, event)
    case 'lost':
      return stay(event.type === 'released' ? {state: 'released'} : session)
    case 'released':
      return stay(session)
    default:
      return unreachable(session)
  }
}

function fromPending(session: Session, event: SessionEvent): Step {
  switch (event.type) {
    case 'confirmed':
      return stay({state: 'held', timeline: event.timeline, sentAtMs: event.sentAtMs, guarded: false})
    case 'ticketGone':
      return lose({kind: 'ticketGone'})
    case 'released':
      return stay({state: 'released'})
    case 'renewalFailed':
    case 'guarded':
    case 'clock':
      return stay(session)
    default:
      return unreachable(event)
  }
}

function fromEntitled(session: Session & {state: 'held' | 'jeopardy'}, event: SessionEvent): Step {
  switch (event.type) {
    case 'confirmed': {
      // A hedged renewal may be answered after a later one: only the latest counts.
      if (event.sentAtMs < session.sentAtMs) return stay(session)
      const {timeline, sentAtMs} = event
      const recovered = session.state === 'jeopardy' && session.announced
      return {
        session: {state: 'held', timeline, sentAtMs, guarded: session.guarded},
        effects: recovered ? [{effect: 'announceRecovery'}] : [],
      }
    }
    case 'renewalFailed':
      if (session.state === 'jeopardy') return stay(session)
      return stay({...session, state: 'jeopardy', cause: event.reason, announced: false})
    case 'guarded':
      return stay({...session, guarded: true})
    case 'clock':
      return onClock(session, event.nowMs)
    case 'ticketGone':
      return lose({kind: 'ticketGone'})
    case 'released':
      return stay({state: 'released'})
    default:
      return unreachable(event)
  }
}

function onClock(session: Session & {state: 'held' | 'jeopardy'}, nowMs: number): Step {
  const {timeline, sentAtMs, guarded} = session
  if (!guarded) return stay(session)
  const reason =
    session.state === 'jeopardy' ? session.cause : 'leash did not run for a while (a suspend, or a stop)'
  if (nowMs >= sentAtMs + timeline.termAfterMs) {
    const killAtMs = sentAtMs + timeline.killAfterMs
    return lose({
      kind: 'unconfirmed',
      sentAtMs,
      killAtMs,
      entitledUntilMs: sentAtMs + timeline.entitledMs,
      reason,
    })
  }
  if (session.state === 'jeopardy' && !session.announced && nowMs >= sentAtMs + timeline.warnAfterMs) {
    const termAtMs = sentAtMs + timeline.termAfterMs
    return {session: {...session, announced: true}, effects: [{effect: 'announceJeopardy', termAtMs, reason}]}
  }
  return stay(session)
}

function stay(session: Session): Step {
  return {session, effects: []}
}

function lose(cause: LossCause): Step {
  return {session: {state: 'lost', cause}, effects: [{effect: 'lose', cause}]}
}

/** What an attempt at a renewal proves. */
export type Verdict = {is: 'confirmed'} | {is: 'ticketGone'} | {is: 'unproven'; reason: string}

/**
 * Judges an attempt. A deposed etcd leader can answer keep-alives, but cannot answer a linearizable read in its old term: so
 * only an answer whose term is that of the read that followed counts. And only the read may say that a ticket is gone: a TTL
 * of 0 from a leader that has not caught up says nothing yet. To lose one ticket is to lose all.
 */
export function judge(evidence: RenewalEvidence, tickets: readonly Ticket[]): Verdict {
  const isThere = ({createRevision}: Ticket, index: number): boolean =>
    evidence.createRevisions[index] === createRevision
  if (!tickets.every(isThere)) return {is: 'ticketGone'}
  if (evidence.ttlMs <= 0) return {is: 'unproven', reason: 'the member that answered does not know the lease'}
  if (evidence.keepAliveTerm !== evidence.readTerm)
    return {is: 'unproven', reason: 'the leader changed meanwhile'}
  return {is: 'confirmed'}
}
