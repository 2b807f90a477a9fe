import {type Given, refused} from './origin.ts'

/** Below this stands every key that leash writes, unless a lock is named by its raw key. */
export const defaultPrefix = 'leash/'

/** A prefix is part of every key; this is generous for paths of teams and environments and keeps keys readable. */
const longestBytes = 200

/**
 * Reads a key prefix. A slash is added at the end if there is none, so that the prefix `team` cannot meet the keys of
 * `team2`; nothing else is changed.
 *
 * @throws LeashError `usage` (from a flag) or `config`, when it is empty, over 200 bytes, has white space at an end or a
 *   control character, or was not UTF-8: each would be another key space than the one that was meant, and two holders in
 *   different key spaces do not exclude each other
 */
export function parsePrefix(given: Given): string {
  const {text} = given
  if (text === '')
    throw refused(given, 'is empty', `write for example ${defaultPrefix}, or leave it out for that`)
  if (text !== text.trim()) throw refused(given, 'begins or ends with white space', 'remove the white space')
  if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text))
    throw refused(given, 'contains a control character', 'use printable characters only')
  if (/[\p{Cs}\ufffd]/u.test(text)) throw refused(given, 'is not valid UTF-8', 'write it in UTF-8')
  const prefix = text.endsWith('/') ? text : `${text}/`
  if (Buffer.byteLength(prefix) > longestBytes)
    throw refused(given, `is longer than ${longestBytes} bytes`, 'choose a shorter one')
  return prefix
}
