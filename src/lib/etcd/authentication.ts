import {status} from '@grpc/grpc-js'
import type {IAuthenticateResponse} from 'etcd3'
import type {Clock} from '../core/clock.ts'
import {LeashError} from '../core/errors.ts'
import {withLimit} from '../core/limit.ts'
import {hasCode} from './failure.ts'

/** Who we are to etcd. */
export interface Credentials {
  user: string
  password: string
}

/** Whoever can be asked for a token: a member. */
export interface Authenticator {
  readonly endpoint: string
  /** Sends `Auth.Authenticate`. */
  authenticate(request: unknown, signal: AbortSignal): Promise<IAuthenticateResponse>
}

/**
 * etcd checks a password by bcrypt, which takes 60 ms of a processor at its default cost. Where many leashes lose their
 * tokens at once, in an election for one, that adds up to seconds, and each request more makes it worse: so one that is
 * under way may take longer than an attempt of whoever asked, and only after several times the usual time, doubled each
 * time, is another one sent beside it, for a member that does not answer at all.
 */
const authenticateMs = 5000
const firstGapMs = 500

/** A new token may be refused, too: etcd rounds the end of a signed one down to a second, which may be now. */
const mostRenewals = 2

const noAnswer = Object.assign(new Error('no token in time'), {
  code: status.UNAVAILABLE,
  details: 'no answer to a request for a token in time',
})

/** None, if etcd says that authentication is not enabled. */
interface Token {
  readonly text: string | undefined
}

/** One or more requests for the same token: the first that succeeds ends it, or the last that fails. */
interface Asking {
  readonly token: Promise<Token>
  settle: (outcome: Promise<Token>) => void
  /** How many are under way. */
  open: number
  /** When another one may be sent. */
  nextAtMs: number
  gapMs: number
}

/**
 * The token by which a cluster knows us. It is fetched when the first call needs it, shared by all calls to all members, and
 * fetched again when one of them does not accept it: it has expired, the member was restarted and has forgotten it, or users
 * and roles were changed since (`revision of auth store is old`).
 */
export class Authentication {
  readonly #credentials: Credentials
  readonly #clock: Clock
  readonly #closed = new AbortController()
  #token: Token | undefined
  #asking: Asking | undefined

  constructor(credentials: Credentials, clock: Clock) {
    this.#credentials = credentials
    this.#clock = clock
  }

  get user(): string {
    return this.#credentials.user
  }

  /**
   * Makes a call with a token; again with a new one, at once, if the member does not accept it. What it refuses was not done.
   * `permission denied` counts as that if the token was not new: releases of etcd 3.4 and 3.5 before those of Debian answer so
   * to a watch whose token has expired.
   *
   * @param member who is called, and asked for a token
   * @throws what the call rejects with; `signal.reason`; `LeashError` `permission` for a name or password that etcd does not
   *   know
   */
  async call<Answer>(
    member: Authenticator,
    signal: AbortSignal,
    call: (token: string | undefined) => Promise<Answer>,
  ): Promise<Answer> {
    for (let renewals = 0; ; renewals++) {
      const known = this.#token
      const token = known ?? (await this.#fetch(member, signal))
      try {
        return await call(token.text)
      } catch (error) {
        signal.throwIfAborted()
        if (!isTokenRefused(error) && !(isDenied(error) && token === known)) throw error
        if (this.#token === token) this.#token = undefined
        if (renewals === mostRenewals) throw error
      }
    }
  }

  /** Gives up all requests. */
  close(): void {
    this.#closed.abort(noAnswer)
  }

  /** Waits for a token that is asked for, and asks this member for it when that may help. */
  async #fetch(member: Authenticator, signal: AbortSignal): Promise<Token> {
    for (;;) {
      const asking = (this.#asking ??= newAsking())
      let hasAsked = false
      const ask = (): void => {
        if (asking !== this.#asking || this.#clock.elapsedMs() < asking.nextAtMs) return
        hasAsked = true
        this.#ask(asking, member)
      }
      ask()
      const over = new AbortController()
      if (!hasAsked) this.#clock.sleepUntil(asking.nextAtMs, over.signal).then(ask, () => {})
      try {
        return await unlessAborted(asking.token, signal)
      } catch (error) {
        // Another member's failure says nothing of this one.
        if (signal.aborted || hasAsked || error instanceof LeashError) throw error
      } finally {
        over.abort()
      }
    }
  }

  #ask(asking: Asking, member: Authenticator): void {
    asking.open++
    asking.nextAtMs = this.#clock.elapsedMs() + asking.gapMs
    asking.gapMs *= 2
    const answer = this.#authenticate(member)
    const end = (): void => {
      if (this.#asking === asking) this.#asking = undefined
      asking.settle(answer)
    }
    answer.then(
      (token) => {
        if (this.#asking === asking) this.#token = token
        end()
      },
      () => {
        if (--asking.open === 0) end()
      },
    )
  }

  async #authenticate(member: Authenticator): Promise<Token> {
    const {user: name, password} = this.#credentials
    const limit = {atMs: this.#clock.elapsedMs() + authenticateMs, reason: noAnswer}
    try {
      const {token} = await withLimit(this.#clock, limit, this.#closed.signal, (limited) =>
        member.authenticate({name, password}, limited),
      )
      return {text: token}
    } catch (error) {
      if (says(error, /authentication is not enabled/)) return {text: undefined}
      if (!says(error, /authentication failed/)) throw error
      const user = JSON.stringify(name)
      const message = `etcd at ${member.endpoint} does not accept the password of user ${user}, or has no such user`
      throw new LeashError('permission', message, 'check LEASH_USER and the password', {cause: error})
    }
  }
}

function newAsking(): Asking {
  let settle: Asking['settle'] = () => {}
  const token = new Promise<Token>((resolve) => (settle = resolve))
  // Whoever waited may have given up.
  token.catch(() => {})
  return {token, settle, open: 0, nextAtMs: -Infinity, gapMs: firstGapMs}
}

/** Whether etcd's answer means: not with this token. Texts of etcd's `v3rpc/rpctypes`. */
function isTokenRefused(error: unknown): boolean {
  return says(error, /invalid auth token|auth store is old|user name is empty/)
}

/** Whether etcd's answer means: this user has no right to that. */
export function isDenied(error: unknown): boolean {
  return hasCode(error) && error.code === status.PERMISSION_DENIED
}

function says(error: unknown, words: RegExp): boolean {
  return hasCode(error) && words.test(error.details)
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error)
    const onAbort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, {once: true})
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
