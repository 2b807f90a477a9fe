import {hostname} from 'node:os'
import {LeashError} from '../core/errors.ts'
import type {LockRequest} from '../core/lock.ts'
import {type LockKeys, inOrder, lockKeys, rawLockKeys} from '../core/lockName.ts'
import type {Mode} from '../core/mode.ts'
import {timeline, ttlToAskSeconds} from '../core/timeline.ts'
import {parseDuration} from './duration.ts'
import {describeOrigin} from './origin.ts'
import type {Settings} from './settings.ts'
import {userName} from './world.ts'

/** The flags that say how long to wait. */
export interface WaitingFlags {
  'no-wait': boolean
  wait?: string | undefined
}

/** The flags that say which locks, and how long to wait for them. */
export interface LockFlags extends WaitingFlags {
  'with-lock': readonly string[]
  'raw-key': boolean
  shared: boolean
  slots?: number | undefined
}

/**
 * What to ask of core, from flags and settings.
 *
 * @throws LeashError `usage` for a name that breaks the rules, locks that overlap, or a timeline that does not fit; `config`
 *   if what does not fit was set in the environment or a file
 */
export function lockRequest(flags: LockFlags, {connection, timing}: Settings): LockRequest {
  const mode = modeOf(flags)
  const keysOf = (name: string): LockKeys => ({
    ...(flags['raw-key'] ? rawLockKeys(name) : lockKeys(connection.prefix.value, name)),
    ...(mode && {mode}),
  })
  const [first = '', ...others] = flags['with-lock']
  return requestFor(inOrder([keysOf(first), ...others.map(keysOf)]), flags, {connection, timing})
}

/**
 * The same for keys that are known already.
 *
 * @throws LeashError for the timeline, as `lockRequest`
 */
export function requestFor(
  locks: LockRequest['locks'],
  flags: WaitingFlags,
  {connection, timing}: Settings,
): LockRequest {
  const request: LockRequest = {
    locks,
    ttlMs: timing.ttlMs.value,
    terms: {lockDelayMs: timing.lockDelayMs.value, graceMs: timing.graceMs.value},
    wait: flags['no-wait'] ? {kind: 'none'} : {kind: 'upTo', ms: waitMs(flags.wait)},
    connectTimeoutMs: connection.connectTimeoutMs.value,
    holder: {host: hostname(), user: userName(), pid: process.pid},
  }
  try {
    wishedTimeline(request)
  } catch (error) {
    throw misfit(error, timing)
  }
  return request
}

/** Undefined: exclusive. */
function modeOf({shared, slots}: LockFlags): Mode | undefined {
  if (shared) return {kind: 'shared'}
  return slots === undefined ? undefined : {kind: 'slots', slots}
}

/** Whose mistake a timeline is that does not fit, and where its numbers come from, if that is not the command line. */
function misfit(error: unknown, {ttlMs, graceMs, lockDelayMs}: Settings['timing']): unknown {
  const origins = [ttlMs, graceMs, lockDelayMs].map(({origin}) => origin)
  const chosen = origins.filter(({kind}) => kind !== 'default')
  if (!(error instanceof LeashError) || chosen.every(({kind}) => kind === 'flag')) return error
  const code = chosen.some(({kind}) => kind === 'flag') ? 'usage' : 'config'
  const places = chosen.map((origin) => describeOrigin(origin)).join(', ')
  return new LeashError(code, `${error.message} (set by ${places})`, 'choose a longer TTL or a shorter grace')
}

/**
 * The timeline if etcd grants what it is asked for.
 *
 * @throws LeashError `usage` if it does not fit
 */
export function wishedTimeline({ttlMs, terms}: LockRequest): ReturnType<typeof timeline> {
  return timeline(ttlToAskSeconds(ttlMs, terms.lockDelayMs) * 1000, terms)
}

function waitMs(wait: string | undefined): number {
  return wait === undefined ? Infinity : parseDuration(wait, {kind: 'flag', name: '--wait'})
}
