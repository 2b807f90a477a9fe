import {unreachable} from '../core/errors.ts'
import type {LossCause} from '../core/session.ts'

/**
 * The life of a child and of the process tree it leads, from its start until the tree was seen empty. Pure: `superviseChild`
 * performs the effects.
 *
 * | state \ event | childEnded | lost | ticketGone | guardDied | clock at the KILL moment | treeEmpty |
 * |---|---|---|---|---|---|---|
 * | running | empty; or, as the user wishes for what stayed behind: leaving, *terminate*; lingering; empty | stopping, *terminate* | killing, *kill* | stopping, *terminate* | - | - |
 * | lingering: the child ended, others stayed and may | - | leaving, *terminate* | killing, *kill* | leaving, *terminate* | - | empty |
 * | leaving: the child ended, others stayed and must end | - | leaving, KILL not later than the loss asks | killing, *kill* | - | killing, *kill* | empty |
 * | stopping: the lease was lost, or the guard | remembers the end | stopping, KILL not later than the loss asks | killing, *kill* | - | killing, *kill* | empty |
 * | killing | remembers the end | - | - | - | - | empty |
 * | empty | - | - | - | - | - | - |
 *
 * The first cause of an end is kept: a child that ended by itself before the loss has its own end, whatever becomes of
 * the processes that it left.
 */
export type Supervision =
  | {state: 'running'}
  | {state: 'lingering'; end: ChildEnd}
  | {state: 'leaving'; end: ChildEnd; killAtMs: number}
  | {state: 'stopping'; cause: EndCause; end?: ChildEnd; killAtMs: number}
  | {state: 'killing'; cause?: EndCause; end?: ChildEnd}
  | {state: 'empty'; cause?: EndCause; end?: ChildEnd}

/** Why a tree was ended that did not end by itself. `unguarded`: its guard died, and nobody would end it if leash died, too. */
export type EndCause = LossCause | {kind: 'unguarded'}

/** What becomes of processes that the child leaves behind: ended, waited for, or left alone. */
export const leftoverPolicies = ['kill', 'wait', 'leave'] as const
export type LeftoverPolicy = (typeof leftoverPolicies)[number]

/** How a child ended. */
export type ChildEnd = {code: number} | {signal: NodeJS.Signals}

export type SupervisionEvent =
  | {
      type: 'childEnded'
      end: ChildEnd
      treeEmpty: boolean
      leftovers: LeftoverPolicy
      nowMs: number
      graceMs: number
    }
  | {type: 'lost'; cause: LossCause & {kind: 'unconfirmed'}; nowMs: number}
  | {type: 'ticketGone'}
  | {type: 'guardDied'; nowMs: number; graceMs: number}
  | {type: 'clock'; nowMs: number}
  | {type: 'treeEmpty'}

/** `terminate` is the gentle signal, `kill` is SIGKILL; both to the whole tree. */
export type SupervisionEffect = 'terminate' | 'kill'

interface Step {
  supervision: Supervision
  effect?: SupervisionEffect
}

/** What happens next: the table above. */
export function supervise(supervision: Supervision, event: SupervisionEvent): Step {
  switch (event.type) {
    case 'childEnded':
      return onChildEnded(supervision, event)
    case 'lost':
      return onLost(supervision, event)
    case 'ticketGone':
      return onTicketGone(supervision)
    case 'guardDied':
      return onGuardDied(supervision, event.nowMs + event.graceMs)
    case 'clock':
      return onClock(supervision, event.nowMs)
    case 'treeEmpty':
      return onTreeEmpty(supervision)
    default:
      return unreachable(event)
  }
}

function onChildEnded(now: Supervision, event: SupervisionEvent & {type: 'childEnded'}): Step {
  const {end, treeEmpty, leftovers, nowMs, graceMs} = event
  switch (now.state) {
    case 'running':
      if (treeEmpty || leftovers === 'leave') return {supervision: {state: 'empty', end}}
      if (leftovers === 'wait') return {supervision: {state: 'lingering', end}}
      return {supervision: {state: 'leaving', end, killAtMs: nowMs + graceMs}, effect: 'terminate'}
    case 'stopping':
    case 'killing':
      return {supervision: treeEmpty ? {...rest(now), state: 'empty', end} : {...now, end}}
    case 'lingering':
    case 'leaving':
    case 'empty':
      return {supervision: now}
    default:
      return unreachable(now)
  }
}

function onLost(now: Supervision, {cause, nowMs}: SupervisionEvent & {type: 'lost'}): Step {
  switch (now.state) {
    case 'running':
      if (nowMs >= cause.killAtMs) return {supervision: {state: 'killing', cause}, effect: 'kill'}
      return {supervision: {state: 'stopping', cause, killAtMs: cause.killAtMs}, effect: 'terminate'}
    case 'lingering':
      return {supervision: {...now, state: 'leaving', killAtMs: cause.killAtMs}, effect: 'terminate'}
    case 'leaving':
    case 'stopping':
      return {supervision: {...now, killAtMs: Math.min(now.killAtMs, cause.killAtMs)}}
    case 'killing':
    case 'empty':
      return {supervision: now}
    default:
      return unreachable(now)
  }
}

function onTicketGone(now: Supervision): Step {
  switch (now.state) {
    case 'running':
      return {supervision: {state: 'killing', cause: {kind: 'ticketGone'}}, effect: 'kill'}
    case 'lingering':
    case 'leaving':
    case 'stopping':
      return {supervision: {...rest(now), state: 'killing'}, effect: 'kill'}
    case 'killing':
    case 'empty':
      return {supervision: now}
    default:
      return unreachable(now)
  }
}

function onGuardDied(now: Supervision, killAtMs: number): Step {
  switch (now.state) {
    case 'running':
      return {supervision: {state: 'stopping', cause: {kind: 'unguarded'}, killAtMs}, effect: 'terminate'}
    case 'lingering':
      return {supervision: {...now, state: 'leaving', killAtMs}, effect: 'terminate'}
    case 'leaving':
    case 'stopping':
    case 'killing':
    case 'empty':
      return {supervision: now}
    default:
      return unreachable(now)
  }
}

function onClock(now: Supervision, nowMs: number): Step {
  if ((now.state !== 'leaving' && now.state !== 'stopping') || nowMs < now.killAtMs) return {supervision: now}
  return {supervision: {...rest(now), state: 'killing'}, effect: 'kill'}
}

function onTreeEmpty(now: Supervision): Step {
  if (now.state === 'running' || now.state === 'empty') return {supervision: now}
  return {supervision: {...rest(now), state: 'empty'}}
}

/** What is carried on from state to state: the cause and the child's end. */
function rest(now: Supervision): {cause?: EndCause; end?: ChildEnd} {
  return {
    ...('cause' in now && now.cause !== undefined && {cause: now.cause}),
    ...('end' in now && now.end !== undefined && {end: now.end}),
  }
}
