/**
 * What can go wrong in a way that the user has to know. Expected outcomes (contended, lost, interrupted) are values and
 * not listed here. The exit status of each code is known in `child/exitStatus.ts` only.
 *
 * | code | meaning |
 * |---|---|
 * | `usage` | an argument or flag is wrong; nothing was touched |
 * | `config` | the environment or a configuration file is wrong, or says nothing; nothing was touched |
 * | `unavailable` | etcd cannot be reached |
 * | `permission` | etcd refuses us |
 * | `notExecutable`, `notFound` | the command cannot be run, does not exist |
 * | `bug` | an invariant of leash itself is broken |
 */
export type LeashErrorCode =
  'usage' | 'config' | 'unavailable' | 'permission' | 'notExecutable' | 'notFound' | 'bug'

/** A fault with a way out. Shown to people as `message; wayOut`, in one line, without a stack trace. */
export class LeashError extends Error {
  override readonly name = 'LeashError'
  readonly code: LeashErrorCode
  /** What the user can do about it: an imperative clause, lower case, without a full stop. */
  readonly wayOut: string

  constructor(code: LeashErrorCode, message: string, wayOut: string, options?: {cause?: unknown}) {
    super(message, options)
    this.code = code
    this.wayOut = wayOut
  }
}

/** Ends an exhaustive switch: a compile error when a case was forgotten, a `bug` when data came in that the types rule out. */
export function unreachable(value: never): never {
  throw new LeashError('bug', `unexpected value ${String(value)}`, 'please report this')
}
