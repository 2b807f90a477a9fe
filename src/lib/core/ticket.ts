import {type LeaseId, type Revision, leaseHex} from './identifiers.ts'
import type {Mode} from './mode.ts'

/** Who stands in a queue, for people: written into the value of a lock's ticket, which etcd's Go clients never read. */
export interface Holder {
  host: string
  user: string
  pid: number
  /** Since when it holds the lock; of a waiter, since when it waits. ISO 8601, by its own wall clock. */
  since: string
}

/** Our ticket as etcd confirmed it. */
export interface Ticket {
  key: string
  lease: LeaseId
  createRevision: Revision
}

/** A ticket that stands before ours. */
export interface TicketAhead {
  key: string
  createRevision: Revision
  /** Absent for a ticket of another program, or one that we cannot read. */
  holder?: Holder
  /** What it says in place of a holder: a candidate's proposal. Absent if it says nothing. */
  value?: string
  /** Absent if it is exclusive. */
  mode?: Mode
}

/** A lock ticket's value: who it is, and how it holds. */
export interface TicketText {
  holder: Holder
  mode?: Mode
}

/** The ticket's value. No argv: command lines hold secrets more often than people think. */
export function encodeHolder(holder: Holder, mode?: Mode): string {
  if (mode === undefined || mode.kind === 'exclusive') return JSON.stringify(holder)
  return JSON.stringify({...holder, mode: mode.kind, ...(mode.kind === 'slots' && {slots: mode.slots})})
}

/** Reads a ticket's value; anything that we did not write, or cannot trust to be text, is no holder. */
export function decodeTicket(value: string): TicketText | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(value)
  } catch {
    return undefined
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined
  const {host, user, pid, since} = parsed as Record<string, unknown>
  if (typeof host !== 'string' || typeof user !== 'string') return undefined
  if (typeof pid !== 'number' || typeof since !== 'string') return undefined
  const found = modeFrom(parsed as Record<string, unknown>)
  return {holder: {host, user, pid, since}, ...(found && {mode: found})}
}

/** A mode that we do not know is exclusive: nobody gets in beside it. */
function modeFrom({mode, slots}: Record<string, unknown>): Mode | undefined {
  if (mode === 'shared') return {kind: 'shared'}
  const isCount = typeof slots === 'number' && Number.isSafeInteger(slots) && slots > 0
  return mode === 'slots' && isCount ? {kind: 'slots', slots} : undefined
}

/** The value of the mark: whose hold it stands for. */
export function markValue(lease: LeaseId): string {
  return leaseHex(lease)
}

/** What a ticket's value says, as text. */
export function readTicket(value: string): Pick<TicketAhead, 'holder' | 'mode' | 'value'> {
  return decodeTicket(value) ?? (value === '' ? {} : {value})
}

/** A proposal may be as long as 512 KiB; this tells candidates apart. */
const longestShownValue = 60

/**
 * Who holds a lock, or leads, for people: `anna@db1 (pid 4711) since 2026-03-01T02:00:00.000Z`; a candidate by its proposal and its
 * key: `"web-1:8080" (leash/election/api/694d9a1b2c3d4e5f)`.
 */
export function describeHolder({holder, value, key}: TicketAhead): string {
  if (holder !== undefined) return `${holder.user}@${holder.host} (pid ${holder.pid}) since ${holder.since}`
  if (value === undefined) return `another program (${key})`
  const isLong = value.length > longestShownValue
  return `${JSON.stringify(isLong ? `${value.slice(0, longestShownValue)}…` : value)} (${key})`
}
