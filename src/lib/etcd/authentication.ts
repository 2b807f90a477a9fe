import {status} from '@grpc/grpc-js'
import type {IAuthenticateResponse} from 'etcd3'
import {LeashError} from '../core/errors.ts'
import {underSignals} from '../core/signals.ts'
import {hasCode} from './failure.ts'

/** Who we are to etcd. */
export interface Credentials {
  user: string
  password: string
}

/**
 * A process that authenticates waits for etcd's bcrypt, 60 ms of a processor at its default cost, and on a busy member ten
 * times that. It may take longer than an attempt of whoever asked, who then finds the token the next time.
 */
const authenticateMs = 5000

/** A new token may be refused, too: etcd rounds the end of a signed one down to a second, which may be now. */
const mostRenewals = 2

/** None, if etcd says that authentication is not enabled. */
interface Token {
  readonly text: string | undefined
}

/**
 * The token by which one member knows us. It is fetched when the first call needs it, shared by all calls to that member,
 * and fetched again when the member does not accept it: it has expired, the member was restarted and has forgotten it, or
 * users and roles were changed since (`revision of auth store is old`).
 */
export class Authentication {
  readonly #credentials: Credentials
  readonly #endpoint: string
  readonly #ask: (request: unknown, signal: AbortSignal) => Promise<IAuthenticateResponse>
  readonly #closed = new AbortController()
  #token: Token | undefined
  #pending: Promise<Token> | undefined

  /** @param ask sends `Auth.Authenticate` to the member at `endpoint` */
  constructor(
    credentials: Credentials,
    endpoint: string,
    ask: (request: unknown, signal: AbortSignal) => Promise<IAuthenticateResponse>,
  ) {
    this.#credentials = credentials
    this.#endpoint = endpoint
    this.#ask = ask
  }

  get user(): string {
    return this.#credentials.user
  }

  /**
   * Makes a call with a token; again with a new one, at once, if the member does not accept it. What it refuses was not done. `permission denied` counts as that if the token was not new: etcd 3.4 and 3.5.16 answer so to a watch whose token
   * has expired.
   *
   * @throws what the call rejects with; `signal.reason`; `LeashError` `permission` for a name or password that etcd does not
   *   know
   */
  async call<Answer>(
    signal: AbortSignal,
    call: (token: string | undefined) => Promise<Answer>,
  ): Promise<Answer> {
    for (let renewals = 0; ; renewals++) {
      const known = this.#token
      const token = known ?? (await this.#fetch(signal))
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

  /**
   * The connection was thrown away: whoever comes next authenticates on a new one. A request that is under way on the old
   * one may still succeed.
   */
  restart(): void {
    this.#pending = undefined
  }

  /** Gives up. */
  close(): void {
    this.#closed.abort()
  }

  /** Waits for the request that is under way, or makes one. That does not end with its first caller: others may share it. */
  async #fetch(signal: AbortSignal): Promise<Token> {
    let fetching = this.#pending
    if (fetching === undefined) {
      fetching = this.#authenticate()
      this.#pending = fetching
      const over = (): void => {
        if (this.#pending === fetching) this.#pending = undefined
      }
      fetching.then(over, over)
    }
    return unlessAborted(fetching, signal)
  }

  #authenticate(): Promise<Token> {
    const {user: name, password} = this.#credentials
    return underSignals([this.#closed.signal, AbortSignal.timeout(authenticateMs)], async (limited) => {
      try {
        const {token} = await this.#ask({name, password}, limited)
        return this.#keep({text: token})
      } catch (error) {
        if (limited.aborted) throw noAnswer()
        if (saysNotEnabled(error)) return this.#keep({text: undefined})
        throw isWrongPassword(error) ? this.#unknown(error) : error
      }
    })
  }

  #keep(token: Token): Token {
    this.#token = token
    return token
  }

  #unknown(cause: unknown): LeashError {
    const user = JSON.stringify(this.#credentials.user)
    const message = `etcd at ${this.#endpoint} does not accept the password of user ${user}, or has no such user`
    return new LeashError('permission', message, 'check LEASH_USER and the password', {cause})
  }
}

/** Whether etcd's answer means: not with this token. Texts of etcd's `v3rpc/rpctypes`. */
function isTokenRefused(error: unknown): boolean {
  return /invalid auth token|auth store is old|user name is empty/.test(detailsOf(error))
}

/** Whether etcd's answer means: this user has no right to that. */
export function isDenied(error: unknown): boolean {
  return hasCode(error) && error.code === status.PERMISSION_DENIED
}

function isWrongPassword(error: unknown): boolean {
  return /authentication failed/.test(detailsOf(error))
}

function saysNotEnabled(error: unknown): boolean {
  return /authentication is not enabled/.test(detailsOf(error))
}

function detailsOf(error: unknown): string {
  return hasCode(error) ? error.details : ''
}

function noAnswer(): Error {
  const details = 'no answer to a request for a token in time'
  return Object.assign(new Error(details), {code: status.UNAVAILABLE, details})
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error)
    const onAbort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, {once: true})
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
