import type {Clock} from '../core/clock.ts'
import type {HeldLock, Place} from '../core/heldLock.ts'
import {markKeyOf} from '../core/ports.ts'
import type {LeftHold} from '../core/takeOver.ts'
import {type Timeline, timeline} from '../core/timeline.ts'
import type {Handle, HandleLock} from './handle.ts'

/**
 * The handle of a hold as it is now.
 *
 * @param endpoints where it was taken: URLs
 */
export function handleOf(
  lock: HeldLock,
  clock: Clock,
  {endpoints, bootId, election}: Pick<Handle, 'endpoints' | 'bootId' | 'election'>,
): Handle {
  const {places, lease, sentAtMs, admittedAtMs} = lock
  const isAfterVanished = places.some(({vanished = []}) => vanished.length > 0)
  const {ttlMs, lockDelayMs, graceMs} = lock.timeline
  const [first, ...others] = places
  const describe = ({keys, ticket: {key, createRevision}, vanished = []}: Place): HandleLock => {
    const markKey = markKeyOf(keys, lease)
    const {name, queuePrefix, mode} = keys
    return {
      name,
      queuePrefix,
      ...(markKey !== undefined && {markKey}),
      ...(mode && {mode}),
      key,
      createRevision,
      ...(vanished.length > 0 && {vanished}),
    }
  }
  return {
    locks: [describe(first), ...others.map(describe)],
    lease,
    ...(isAfterVanished &&
      admittedAtMs !== undefined && {admittedAtBootMs: Math.max(0, clock.bootMsAt(admittedAtMs))}),
    ...(election && {election}),
    endpoints,
    ttlMs,
    lockDelayMs,
    graceMs,
    bootId,
    sentAtBootMs: clock.bootMsAt(sentAtMs),
  }
}

/** The hold that a handle of this boot stands for. */
export function holdOf({locks: [first, ...others], lease, ...handle}: Handle, clock: Clock): LeftHold {
  const {ttlMs, lockDelayMs, graceMs, sentAtBootMs, admittedAtBootMs} = handle
  // Who holds looks at nothing but its own ticket, and the handle names its own mark.
  const place = ({
    key,
    createRevision,
    name,
    queuePrefix,
    markKey,
    vanished,
  }: HandleLock): Omit<Place, 'marked'> => ({
    keys: {name, queuePrefix, ...(markKey !== undefined && {markKey})},
    ticket: {key, lease, createRevision},
    ...(vanished && {vanished}),
  })
  return {
    places: [place(first), ...others.map(place)],
    ...(admittedAtBootMs !== undefined && {admittedAtMs: clock.atBootMs(admittedAtBootMs)}),
    ttlMs,
    terms: {lockDelayMs, graceMs},
    sentAtMs: clock.atBootMs(sentAtBootMs),
  }
}

/** The names of its locks, for messages. */
export function namesOf({locks}: Handle): string {
  return locks.map(({name}) => name).join(', ')
}

/**
 * How much longer nobody else can hold the locks and nothing is ended because of them, in milliseconds; of another boot: not
 * at all. With a keeper that is until the gentle signal, else until the end of the entitlement.
 */
export function goodForMs(handle: Handle, now: {bootId: string; bootMs: number}): number {
  if (handle.bootId !== now.bootId) return 0
  return handle.sentAtBootMs + longestGoodForMs(handle) - now.bootMs
}

/** How much longer nobody else can hold the locks, in milliseconds, whatever a keeper ends before; of another boot: not at all. */
export function entitledForMs({keeper: _, ...handle}: Handle, now: {bootId: string; bootMs: number}): number {
  return goodForMs(handle, now)
}

/** The same right after a confirmed renewal: it is never more. */
export function longestGoodForMs({ttlMs, lockDelayMs, graceMs, keeper}: Handle): number {
  const line: Timeline = timeline(ttlMs, {lockDelayMs, graceMs})
  return keeper === undefined ? line.entitledMs : line.termAfterMs
}
