import {LeashError} from './errors.ts'
import {type LeaseId, leaseHex} from './identifiers.ts'
import type {QueueKeys} from './ports.ts'

/**
 * Where one lock or election lives in etcd's key space. It has no mark if it is a raw key, beside which nothing of ours may
 * stand.
 */
export interface LockKeys extends QueueKeys {
  /** The name as the user gave it, for messages. */
  name: string
  /** Of an election, whose tickets say what the candidates want: where it says who they are, by their leases. Ends in `/`. */
  metaPrefix?: string
}

const longestNameBytes = 200
/** A raw key is another program's path, not a name; the bound only keeps messages and requests sane. */
const longestRawKeyBytes = 1000

// eslint-disable-next-line no-control-regex -- this is the rule itself: C0, DEL and C1
const controlCharacter = /[\u0000-\u001f\u007f-\u009f]/u

/**
 * The keys of the lock with this name. The name becomes exactly one segment, so that `db` and `db/backup` cannot meet.
 *
 * @param prefix the configured prefix; ends in `/`
 * @throws LeashError `usage` if the name is empty, over-long, not UTF-8 or holds control characters
 */
export function lockKeys(prefix: string, name: string): LockKeys {
  const keys = namedKeys(prefix, 'lock', name)
  return {...keys, besideMarks: `${prefix}held/beside/${segmentOf(name)}/`}
}

/**
 * The keys of the election with this name, apart from those of the lock with the same name.
 *
 * @param prefix as `lockKeys`
 * @throws LeashError `usage` as `lockKeys`
 */
export function electionKeys(prefix: string, name: string): LockKeys {
  return {...namedKeys(prefix, 'election', name), metaPrefix: `${prefix}meta/`}
}

/**
 * The keys of a lock or an election that other programs have under a path of their own, as Go's
 * `concurrency.NewMutex(session, key)` and `NewElection(session, key)`, `etcdctl lock key` and `elect key` would use it:
 * one layout for both.
 *
 * @throws LeashError `usage` as `lockKeys`
 */
export function rawLockKeys(key: string): LockKeys {
  checkText(key, 'raw key', longestRawKeyBytes)
  return {name: key, queuePrefix: `${key}/`}
}

/** The key of the ticket that this lease puts into the queue: Go's layout. */
export function ticketKey(keys: LockKeys, lease: LeaseId): string {
  return keys.queuePrefix + leaseHex(lease)
}

/**
 * As many as one transaction of etcd can take: it has 128 operations at most (`--max-txn-ops`, nested ones count on top). Each
 * lock costs five, ticket and mark put and read, and the marks of holds beside others read; and lining up in case that somebody
 * is there is nested.
 */
export const mostLocks = 25

/**
 * How many marks of others the clean end of one lock removes: ticket, own mark and these are nested below as many operations as
 * there are locks, 127 in all. Those that are left go with later ends.
 */
export const mostSettled = 100

/**
 * The locks that these keys name, each once, in the order in which everybody takes several: the byte order of their keys.
 *
 * @throws LeashError `usage` for too many, or for a raw key that lies within the queue of another: it would wait for itself
 */
export function inOrder(keys: readonly [LockKeys, ...LockKeys[]]): [LockKeys, ...LockKeys[]] {
  const byPrefix = new Map(keys.map((one) => [one.queuePrefix, one]))
  const [first = keys[0], ...others] = [...byPrefix.values()].toSorted((one, other) =>
    Buffer.compare(Buffer.from(one.queuePrefix), Buffer.from(other.queuePrefix)),
  )
  if (others.length >= mostLocks) {
    const wayOut = 'name one lock that stands for them'
    throw new LeashError('usage', `${byPrefix.size} locks are named, and ${mostLocks} is the most`, wayOut)
  }
  let before = first
  for (const next of others) {
    if (next.queuePrefix.startsWith(before.queuePrefix)) {
      const cause = `the raw key ${JSON.stringify(next.name)} lies within the queue of ${JSON.stringify(before.name)}`
      throw new LeashError('usage', cause, 'name only one of the two')
    }
    before = next
  }
  return [first, ...others]
}

function namedKeys(prefix: string, kind: 'lock' | 'election', name: string): LockKeys {
  checkText(name, `${kind} name`, longestNameBytes)
  const segment = segmentOf(name)
  return {name, queuePrefix: `${prefix}${kind}/${segment}/`, markKey: `${prefix}held/${kind}/${segment}`}
}

/** `db` and `db/backup` cannot meet. */
function segmentOf(name: string): string {
  return name.replaceAll('%', '%25').replaceAll('/', '%2F')
}

function checkText(text: string, what: string, longestBytes: number): void {
  if (text === '')
    throw new LeashError('usage', `the ${what} is empty`, `give 1 to ${longestBytes} bytes of text`)
  const bytes = new TextEncoder().encode(text).length
  if (bytes > longestBytes) {
    const start = [...text].slice(0, 20).join('')
    throw new LeashError(
      'usage',
      `the ${what} "${start}..." is ${bytes} bytes long, and ${longestBytes} is the most`,
      'shorten it',
    )
  }
  const found = controlCharacter.exec(text)
  if (found !== null) {
    const code = found[0].codePointAt(0) ?? 0
    throw new LeashError(
      'usage',
      `the ${what} ${JSON.stringify(text)} holds the control character U+${code.toString(16).toUpperCase().padStart(4, '0')}`,
      'use printable text',
    )
  }
  // Bytes that are no UTF-8 reach us as U+FFFD: two such names would become one lock.
  if (/\ufffd|\p{Surrogate}/u.test(text)) {
    throw new LeashError('usage', `the ${what} ${JSON.stringify(text)} is not valid UTF-8`, 'use UTF-8 text')
  }
}
