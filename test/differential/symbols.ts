import type {Message} from '../support/EtcdApi.ts'

/** What a sequence's symbols stand for on one target. */
export interface Meaning {
  /** What `~` stands for. */
  readonly prefix: string
  /** The lease before lease 1. */
  readonly leaseBase: bigint
  /** The target's revision when the sequence began: it depends on what was there before. */
  readonly startRevision: bigint
}

const isRevision = (field: string): boolean => field.endsWith('revision')
const isLease = (field: string): boolean => field === 'lease' || field === 'ID'
const isBytes = (field: string): boolean => ['key', 'range_end', 'value'].includes(field)
const leases = 3n

/** The request that a symbolic one stands for. */
export const toRequest = (symbolic: Message, meaning: Meaning): Message => {
  const leaf = (field: string, value: unknown): unknown => {
    if (isBytes(field)) return Buffer.from(String(value).replace(/^~/, meaning.prefix), 'latin1')
    if (value === 'none') return '0'
    if (value === 'minus') return '-7'
    if (isRevision(field)) return String(meaning.startRevision + BigInt(value as number))
    if (isLease(field)) return String(meaning.leaseBase + BigInt(value as number))
    return value
  }
  return mapLeaves(symbolic, leaf)
}

/**
 * An answer in the terms of the sequence, equal for two targets that behave alike: without ids of clusters and members, terms, and
 * the time that a lease has left.
 */
export const toNormalForm = (answer: Message, meaning: Meaning): Message => {
  const leaf = (field: string, value: unknown): unknown => {
    if (Buffer.isBuffer(value)) {
      const text = value.toString('latin1')
      return text.startsWith(meaning.prefix) ? `~${text.slice(meaning.prefix.length)}` : text
    }
    if (['cluster_id', 'member_id', 'raft_term'].includes(field)) return undefined
    if (isLease(field) && typeof value === 'string') return leaseSymbol(BigInt(value), meaning)
    if (isRevision(field) && value !== '0') return Number(BigInt(value as string) - meaning.startRevision)
    return value
  }
  return mapLeaves(answer, leaf)
}

/** The number of a lease, or that it has none. */
export const leaseSymbol = (id: bigint, {leaseBase}: Meaning): unknown => {
  if (id === 0n) return 'none'
  const number = id - leaseBase
  return number >= 1n && number <= leases ? Number(number) : 'chosen by the server'
}

const mapLeaves = (message: Message, leaf: (field: string, value: unknown) => unknown): Message => {
  const map = (field: string, value: unknown): unknown => {
    if (Array.isArray(value)) return value.map((item) => map(field, item))
    if (typeof value === 'object' && value !== null && !Buffer.isBuffer(value))
      return mapLeaves(value as Message, leaf)
    return leaf(field, value)
  }
  return Object.fromEntries(Object.entries(message).map(([field, value]) => [field, map(field, value)]))
}
