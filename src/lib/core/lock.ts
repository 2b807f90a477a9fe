import type {Clock} from './clock.ts'
import {HeldLock, type HoldNews} from './heldLock.ts'
import {type FencingToken, type LeaseId, leaseHex} from './identifiers.ts'
import {type Limit, withLimit} from './limit.ts'
import {LiveSession, type SessionNews} from './liveSession.ts'
import type {LockKeys} from './lockName.ts'
import {outOfReach} from './outOfReach.ts'
import {type Enqueue, LeaseGone, type LeaseStore, markKeyOf} from './ports.ts'
import type {QueueView} from './queue.ts'
import {exclusive, settlingMs} from './mode.ts'
import {type Holder, type TicketAhead, encodeHolder} from './ticket.ts'
import {type Terms, type Timeline, timeline, ttlToAskSeconds} from './timeline.ts'
import {Contended, awaitTurns, prepareStart} from './turns.ts'

/** One lock to take, or several on one lease, all or none. */
export interface LockRequest {
  /** In the order in which everybody takes them, so that no two wait for each other; see `inOrder`. All in the same mode. */
  locks: readonly [LockKeys, ...LockKeys[]]
  /** The TTL wished for, without the lock-delay. */
  ttlMs: number
  terms: Terms
  /** How long to stand in the queue: not at all, or so long (`Infinity`: for ever). */
  wait: {kind: 'none'} | {kind: 'upTo'; ms: number}
  /** How long etcd may stay out of reach before there is a ticket. */
  connectTimeoutMs: number
  holder: Omit<Holder, 'since'>
  /** Of a candidate in an election: what its ticket says, in place of who it is. */
  proposal?: Uint8Array
}

/** What acquiring a lock tells people while it goes on. */
export type LockNews =
  | SessionNews
  | HoldNews
  /** etcd raised the TTL. */
  | {kind: 'ttlRaised'; askedMs: number; grantedMs: number}
  /** We stand in the queue; the details only if `LockPorts.showQueue` asks for them. */
  | {kind: 'waiting'; name: string; ahead?: number; first?: TicketAhead}
  /** Our lease died while we waited: we queue again, at the end. */
  | {kind: 'requeued'}
  /** The last holder vanished: its tree may still be dying. */
  | {kind: 'settling'; ms: number}
  /** The locks are ours; their fencing tokens. */
  | {kind: 'acquired'; fences: readonly FencingToken[]}

/** What acquiring a lock needs from outside. */
export interface LockPorts {
  store: LeaseStore
  clock: Clock
  newLeaseId: () => LeaseId
  tell: (news: LockNews) => void
  /** Ask etcd, at one more request a time, how long the queue is and who holds the lock. */
  showQueue: boolean
}

/** How an attempt at the locks ended. */
export type Acquisition =
  | {is: 'held'; lock: HeldLock}
  /** Somebody holds the lock of this name, and we were not to wait. */
  | {is: 'contended'; name: string; ahead: TicketAhead}
  /** The wait ran out. */
  | {is: 'waitedOut'}

/** How long we try to take back a ticket that we give up. Its lease ends by itself if we fail. */
const withdrawalLimitMs = 1000

const waitedOut = Symbol('waited out')
const etcdUnreachable = Symbol('etcd unreachable')

/**
 * Takes the locks: grant, enqueue, wait for the turn. On return the guard band applies: start the child at once, and call
 * `lock.childStarted()`.
 *
 * Several that are all free are taken by one transaction. Else they are taken one after the other, and those taken are kept
 * while the next is waited for: as everybody takes them in the same order, somebody always gets on. Whatever ends it without
 * the last one gives all back.
 *
 * @param signal gives up: the tickets are withdrawn, and the promise rejects with `signal.reason`
 * @throws LeashError `unavailable` if etcd was out of reach for `connectTimeoutMs` before a ticket existed, `permission`
 *   if it refuses, `usage` if the timeline does not fit the TTL that it granted
 */
export async function acquire(
  request: LockRequest,
  ports: LockPorts,
  signal: AbortSignal,
): Promise<Acquisition> {
  const {wait, connectTimeoutMs} = request
  const startedAtMs = ports.clock.elapsedMs()
  const patience: Limit =
    wait.kind === 'none'
      ? {atMs: startedAtMs + connectTimeoutMs + settlingMs, reason: etcdUnreachable}
      : {atMs: startedAtMs + wait.ms, reason: waitedOut}
  // Until the first ticket is put it is etcd that keeps us waiting, also if the wait runs out before.
  let limits: Limits = {
    connecting: {atMs: Math.min(startedAtMs + connectTimeoutMs, patience.atMs), reason: etcdUnreachable},
    patience,
    isRequeued: false,
  }
  try {
    for (;;) {
      const acquisition = await takeTicket(request, ports, limits, signal)
      if (acquisition === 'again') continue
      if (acquisition !== 'requeue') return acquisition
      limits = {connecting: patience, patience, isRequeued: true}
      ports.tell({kind: 'requeued'})
    }
  } catch (error) {
    if (error === waitedOut) return {is: 'waitedOut'}
    if (error !== etcdUnreachable) throw error
    throw outOfReach(ports.store)
  }
}

/** Until when we try to put a ticket, and until when to come to hold the lock. */
interface Limits {
  connecting: Limit
  patience: Limit
  /**
   * A ticket of ours died in a queue. What took it may have taken those ahead of it, and all marks: somebody's `etcdctl del`, an
   * etcd without its data, a local engine whose directory is gone. So an empty queue says nothing of their jobs.
   */
  isRequeued: boolean
}

/**
 * One lease's way from grant to the last admission. Whatever ends it without the locks takes its tickets back. `requeue`: one
 * died in a queue. `again`: the lease died before there was a ticket.
 */
async function takeTicket(
  request: LockRequest,
  ports: LockPorts,
  limits: Limits,
  signal: AbortSignal,
): Promise<Acquisition | 'requeue' | 'again'> {
  const lease = ports.newLeaseId()
  const markKeys = request.locks.flatMap((keys) => markKeyOf(keys, lease) ?? [])
  try {
    const acquisition = await holdTickets(lease, request, ports, limits, signal)
    if (acquisition === 'requeue') await withdraw(lease, markKeys, ports)
    // Who was not to wait has put no mark.
    else if (acquisition.is !== 'held') await withdraw(lease, [], ports)
    return acquisition
  } catch (error) {
    if (error instanceof Contended) {
      await withdraw(lease, error.isMarked ? markKeys : [], ports)
      return contended(error.ahead, request.locks)
    }
    await withdraw(lease, markKeys, ports)
    if (error instanceof LeaseGone) return 'again'
    throw error
  }
}

async function holdTickets(
  lease: LeaseId,
  request: LockRequest,
  ports: LockPorts,
  {connecting, patience, isRequeued}: Limits,
  signal: AbortSignal,
): Promise<Acquisition | 'requeue'> {
  const {granted, views} = await withLimit(ports.clock, connecting, signal, (limited) =>
    grantAndEnqueue(lease, request, ports, limited),
  )
  const {own: ticket, ahead} = views[0] ?? {}
  if (ticket === undefined) return ahead === undefined ? 'requeue' : contended(ahead, request.locks)
  const session = new LiveSession({...ports, ticket, terms: request.terms}, granted)
  try {
    const turn = AbortSignal.any([signal, session.lost])
    const lineUp = (queues: LockRequest['locks'], limited: AbortSignal): Promise<readonly QueueView[]> =>
      ports.store.enqueue(enqueueOf(queues, lease, request, ports.clock), limited)
    let admittedAtMs = -Infinity
    const places = await withLimit(ports.clock, patience, turn, async (limited) => {
      const all = await awaitTurns(request, views, lineUp, session, ports, limited)
      admittedAtMs = ports.clock.elapsedMs()
      const predecessorVanished = all.predecessorVanished || isRequeued
      await prepareStart({...all, predecessorVanished}, ports, session, limited)
      return all.places
    })
    const ticketValue = (): string | undefined =>
      request.proposal === undefined ? describeUs(request, ports.clock) : undefined
    return {is: 'held', lock: new HeldLock({...ports, session, places, admittedAtMs, ticketValue})}
  } catch (error) {
    session.close()
    if (error instanceof Contended) throw error
    signal.throwIfAborted()
    if (session.lost.aborted || error instanceof LeaseGone) return 'requeue'
    throw error
  }
}

async function grantAndEnqueue(
  lease: LeaseId,
  request: LockRequest,
  {store, clock, tell}: LockPorts,
  signal: AbortSignal,
): Promise<{granted: {sentAtMs: number; timeline: Timeline}; views: readonly QueueView[]}> {
  const {ttlMs, terms} = request
  const askedSeconds = ttlToAskSeconds(ttlMs, terms.lockDelayMs)
  const grant = await store.grant(lease, askedSeconds, signal)
  if (grant.ttlMs > askedSeconds * 1000) {
    tell({kind: 'ttlRaised', askedMs: ttlMs, grantedMs: grant.ttlMs - terms.lockDelayMs})
  }
  const granted = {sentAtMs: grant.sentAtMs, timeline: timeline(grant.ttlMs, terms)}
  const views = await store.enqueue(enqueueOf(request.locks, lease, request, clock), signal)
  return {granted, views}
}

/** Who we are, as of now. */
function describeUs({holder, locks: [{mode}]}: LockRequest, clock: Clock): string {
  return encodeHolder({...holder, since: new Date(clock.wallMs()).toISOString()}, mode)
}

function enqueueOf(
  queues: LockRequest['locks'],
  lease: LeaseId,
  request: LockRequest,
  clock: Clock,
): Enqueue {
  // Who holds beside others looks at them first.
  const onlyIfNobody = request.wait.kind === 'none' && (queues[0].mode ?? exclusive).kind === 'exclusive'
  const us = describeUs(request, clock)
  const {metaPrefix} = queues[0]
  const {proposal} = request
  if (proposal === undefined) return {queues, lease, value: us, onlyIfNobody}
  const beside = metaPrefix === undefined ? {} : {beside: {key: metaPrefix + leaseHex(lease), value: us}}
  return {queues, lease, value: proposal, onlyIfNobody, ...beside}
}

/** Somebody stands in the queue of one of these locks. */
function contended(ahead: TicketAhead, locks: LockRequest['locks']): Acquisition {
  const lock = locks.find(({queuePrefix}) => ahead.key.startsWith(queuePrefix)) ?? locks[0]
  return {is: 'contended', name: lock.name, ahead}
}

/**
 * Gives a lease back, and the marks that its tickets may have put: first the lease, so that a ticket which is still under way
 * fails, and its mark with it.
 */
async function withdraw(
  lease: LeaseId,
  markKeys: readonly string[],
  {store, clock}: LockPorts,
): Promise<void> {
  const limit = {atMs: clock.elapsedMs() + withdrawalLimitMs, reason: etcdUnreachable}
  await withLimit(clock, limit, undefined, async (signal) => {
    await store.revoke(lease, signal)
    if (markKeys.length > 0) await store.unmark(lease, markKeys, signal)
  }).catch(() => {})
}
