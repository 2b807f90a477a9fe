import {LeashError} from './errors.ts'
import {type LeaseId, leaseHex} from './identifiers.ts'

/** Where one lock lives in etcd's key space. */
export interface LockKeys {
  /** The name as the user gave it, for messages. */
  name: string
  /** All tickets of the lock stand below this prefix, which ends in `/`. Every key below it is a competitor. */
  queuePrefix: string
  /** The mark of an unfinished hold; absent for a raw key, beside which nothing of ours may stand. */
  markKey?: string
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
  checkText(name, 'lock name', longestNameBytes)
  const segment = name.replaceAll('%', '%25').replaceAll('/', '%2F')
  return {name, queuePrefix: `${prefix}lock/${segment}/`, markKey: `${prefix}held/lock/${segment}`}
}

/**
 * The keys of a lock that other programs hold under a path of their own, as Go's `concurrency.NewMutex(session, key)`
 * and `etcdctl lock key` would use it.
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
