import {type LeashErrorCode, LeashError, unreachable} from '../core/errors.ts'

/** Where the value of a setting was found. `name` is spelled as the user types it, for example `--ttl`. */
export type Origin =
  | {kind: 'flag'; name: string}
  | {kind: 'environment'; variable: string}
  | {kind: 'file'; path: string; variable: string}
  | {kind: 'default'}

/** A value that is ready to use, and where it came from. */
export type Setting<T> = {readonly value: T; readonly origin: Origin}

/** The text of a setting as it was found, not yet checked. */
export type Given = {readonly text: string; readonly origin: Origin}

/** Long enough for any real value; an accident such as a whole file in a variable must not fill the terminal. */
const longestQuote = 80

/** Names an origin for people: `--ttl`, `LEASH_TTL`, `LEASH_TTL in /etc/leash/leash.env` or `default`. */
export function describeOrigin(origin: Origin): string {
  switch (origin.kind) {
    case 'flag':
      return origin.name
    case 'environment':
      return origin.variable
    case 'file':
      return `${origin.variable} in ${origin.path}`
    case 'default':
      return 'default'
    default:
      return unreachable(origin)
  }
}

/**
 * The error for a value that breaks a rule: `usage` or `config` as `blame` has it, unless `code` says otherwise. The message is the origin with the value, then `rule`, for example `--ttl "abc" is not a duration`.
 *
 * @param rule what is wrong, as the predicate of a sentence whose subject is the value
 */
export function refused(
  given: Given,
  rule: string,
  wayOut: string,
  code: LeashErrorCode = blame(given.origin),
): LeashError {
  return new LeashError(code, `${describeGiven(given)} ${rule}`, wayOut)
}

/** Whose mistake a wrong value is: that of the command line (`usage`) or of what stands around it (`config`). */
export function blame(origin: Origin): 'usage' | 'config' {
  return origin.kind === 'flag' ? 'usage' : 'config'
}

function describeGiven({text, origin}: Given): string {
  const value = quoted(text)
  switch (origin.kind) {
    case 'flag':
      return `${origin.name} ${value}`
    case 'environment':
      return `${origin.variable} ${value}`
    case 'file':
      return `${origin.variable} ${value} in ${origin.path}`
    case 'default':
      return value
    default:
      return unreachable(origin)
  }
}

function quoted(text: string): string {
  return JSON.stringify(text.length > longestQuote ? `${text.slice(0, longestQuote)}…` : text)
}
