import type {ProcessIdentity} from '../child/processIdentity.ts'
import {type LeaseId, type Revision, leaseHex} from '../core/identifiers.ts'
import type {LockKeys} from '../core/lockName.ts'
import type {Mode} from '../core/mode.ts'

/** A lock that a handle stands for: its keys, the mark that is our own, and our ticket in its queue. */
export interface HandleLock extends Omit<LockKeys, 'besideMarks'> {
  /** The key of our ticket. */
  key: string
  createRevision: Revision
  /** The marks of others who had vanished when we came to hold: they go with our clean end. */
  vanished?: readonly string[]
}

/** The process that renews a handle's lease. */
interface Keeper extends ProcessIdentity {
  /** Its guard. */
  guard: ProcessIdentity
  /** For whom it renews: when this one ends, so does the keeper. */
  keeps: ProcessIdentity
}

/** How a handle ended: given back, lost, or `left` behind by a process that ended without giving it back. */
export interface HandleEnd {
  how: 'released' | 'lost' | 'left'
  reason?: string
}

/** A lock that spans shell commands: what one command leaves for the later ones, on this machine, of this user. */
export interface Handle {
  /** One or several locks on one lease, in the byte order of their keys. */
  locks: readonly [HandleLock, ...HandleLock[]]
  lease: LeaseId
  /** When nobody was ahead any more, in milliseconds of boot time; absent if nobody had vanished. */
  admittedAtBootMs?: number
  /** Present: it stands for the leadership of an election. */
  election?: true
  /** Where the lock was taken: URLs. */
  endpoints: readonly string[]
  /** T as etcd granted it, lock-delay included. */
  ttlMs: number
  lockDelayMs: number
  /** If one was chosen. */
  graceMs?: number
  /** The boot that `sentAtBootMs` and all `startTicks` count from; empty where boots have no id. */
  bootId: string
  /** When the last confirmed renewal was sent, in milliseconds of boot time. */
  sentAtBootMs: number
  /** Absent: each renewal is a command of its own. */
  keeper?: Keeper
  /** Present: a tombstone, which makes it harmless to release twice. */
  ended?: HandleEnd
}

/** What the text of a handle file turned out to be. */
export type Decoded =
  | {is: 'handle'; handle: Handle}
  | {is: 'otherVersion'; version: string}
  /** `what`: the predicate of a sentence whose subject is the handle. */
  | {is: 'damaged'; what: string}

/** Changes when an older leash would misread a handle. A field that it may pass over does not count. */
const formatVersion = 1

/** etcd's int64, of which ids and revisions are the positive half. */
const largestInt64 = 2n ** 63n - 1n

/** The text of a handle file: JSON, int64 numbers as strings, the lease in the hex that etcdctl prints. */
export function encodeHandle(handle: Handle): string {
  const locks = handle.locks.map((lock) => ({...lock, createRevision: lock.createRevision.toString()}))
  return `${JSON.stringify({version: formatVersion, ...handle, lease: leaseHex(handle.lease), locks})}\n`
}

/** Reads the text of a handle file. Every field is checked; one that this version does not know is passed over. */
export function decodeHandle(text: string): Decoded {
  try {
    const fields = new Fields(JSON.parse(text), '')
    const version = fields.number('version', 'count')
    if (version !== formatVersion) return {is: 'otherVersion', version: String(version)}
    return {is: 'handle', handle: handleOf(fields)}
  } catch (error) {
    if (error instanceof Malformed) return {is: 'damaged', what: error.message}
    if (error instanceof SyntaxError) return {is: 'damaged', what: 'is not whole JSON'}
    throw error
  }
}

function handleOf(fields: Fields): Handle {
  const [first, ...others] = fields.list('locks', (lock) => lockOf(new Fields(lock, 'locks.')))
  if (first === undefined) throw new Malformed('holds no lock')
  const isElection = fields.optional('election', (name) => fields.truth(name)) ?? false
  const graceMs = fields.optional('graceMs', (name) => fields.number(name, 'length'))
  const admittedAtBootMs = fields.optional('admittedAtBootMs', (name) => fields.number(name, 'length'))
  const keeper = fields.optional('keeper', (name) => keeperOf(fields.object(name)))
  const ended = fields.optional('ended', (name) => endOf(fields.object(name)))
  return {
    locks: [first, ...others],
    lease: fields.int64('lease', 'hex') as LeaseId,
    ...(admittedAtBootMs !== undefined && {admittedAtBootMs}),
    ...(isElection && {election: true}),
    endpoints: fields.list('endpoints', (url) => new Fields({url}, 'endpoints.').text('url')),
    ttlMs: fields.number('ttlMs', 'length'),
    lockDelayMs: fields.number('lockDelayMs', 'length'),
    ...(graceMs !== undefined && {graceMs}),
    bootId: fields.text('bootId'),
    sentAtBootMs: fields.number('sentAtBootMs', 'length'),
    ...(keeper !== undefined && {keeper}),
    ...(ended !== undefined && {ended}),
  }
}

function lockOf(fields: Fields): HandleLock {
  const markKey = fields.optional('markKey', (name) => fields.text(name))
  const vanished = fields.optional('vanished', (name) =>
    fields.list(name, (key) => new Fields({key}, 'locks.vanished.').text('key')),
  )
  const mode = fields.optional('mode', (name) => modeOf(fields.object(name)))
  return {
    name: fields.text('name'),
    queuePrefix: fields.text('queuePrefix'),
    ...(markKey !== undefined && {markKey}),
    ...(mode !== undefined && {mode}),
    key: fields.text('key'),
    createRevision: fields.int64('createRevision', 'decimal'),
    ...(vanished !== undefined && {vanished}),
  }
}

function modeOf(fields: Fields): Mode {
  const kind = fields.text('kind')
  if (kind === 'shared') return {kind}
  if (kind !== 'slots') throw fields.wrong('kind')
  return {kind, slots: fields.number('slots', 'count')}
}

function keeperOf(fields: Fields): Keeper {
  return {
    ...processOf(fields),
    guard: processOf(fields.object('guard')),
    keeps: processOf(fields.object('keeps')),
  }
}

/** No process is number 0, and a signal to it would reach our own group. */
function processOf(fields: Fields): ProcessIdentity {
  const pid = fields.number('pid', 'count')
  if (pid === 0) throw fields.wrong('pid')
  return {pid, startTicks: fields.number('startTicks', 'count')}
}

function endOf(fields: Fields): HandleEnd {
  const how = fields.text('how')
  if (how !== 'released' && how !== 'lost' && how !== 'left') throw fields.wrong('how')
  const reason = fields.optional('reason', (name) => fields.text(name))
  return {how, ...(reason !== undefined && {reason})}
}

/** What makes a text no handle. */
class Malformed extends Error {}

/** The fields of an object in a text that may hold anything. Each method throws `Malformed` if the field is not what it returns. */
class Fields {
  readonly #values: Readonly<Record<string, unknown>>
  /** What stands before a field's name in a message. */
  readonly #path: string

  constructor(value: unknown, path: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new Malformed(path === '' ? 'is no JSON object' : `has no valid ${path.slice(0, -1)}`)
    this.#values = value as Record<string, unknown>
    this.#path = path
  }

  wrong(name: string): Malformed {
    return new Malformed(`has no valid ${this.#path}${name}`)
  }

  optional<T>(name: string, read: (name: string) => T): T | undefined {
    return this.#values[name] === undefined ? undefined : read(name)
  }

  truth(name: string): boolean {
    const value = this.#values[name]
    if (typeof value !== 'boolean') throw this.wrong(name)
    return value
  }

  text(name: string): string {
    const value = this.#values[name]
    if (typeof value !== 'string') throw this.wrong(name)
    return value
  }

  /** A length of time, with fractions; or a count. Neither is negative. */
  number(name: string, kind: 'length' | 'count'): number {
    const value = this.#values[name]
    const fits = kind === 'count' ? Number.isSafeInteger(value) : Number.isFinite(value)
    if (typeof value !== 'number' || !fits || value < 0) throw this.wrong(name)
    return value
  }

  int64(name: string, notation: 'decimal' | 'hex'): bigint {
    const digits = this.text(name)
    if (!(notation === 'hex' ? /^[1-9a-f][0-9a-f]{0,15}$/ : /^[1-9]\d{0,18}$/).test(digits))
      throw this.wrong(name)
    const value = BigInt(notation === 'hex' ? `0x${digits}` : digits)
    if (value > largestInt64) throw this.wrong(name)
    return value
  }

  object(name: string): Fields {
    return new Fields(this.#values[name], `${this.#path}${name}.`)
  }

  list<T>(name: string, read: (value: unknown) => T): T[] {
    const value = this.#values[name]
    if (!Array.isArray(value)) throw this.wrong(name)
    return value.map(read)
  }
}
