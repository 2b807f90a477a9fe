import {
  type ClientDuplexStream,
  type ClientUnaryCall,
  type ServiceError,
  Metadata,
  credentials,
  status,
} from '@grpc/grpc-js'
import type {IAuthenticateResponse} from 'etcd3'
import {Host} from 'etcd3/lib/connection-pool.js'
import {type Authentication, type Authenticator, isDenied} from './authentication.ts'
import {refusal} from './rights.ts'

/** Below a loopback round trip no reconnect makes sense, above a second a recovered member waits for us. */
const channelOptions = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  // A watch may be all that uses a connection: notice within 15 s that its other end is gone. etcd refuses pings that
  // come more often than every 5 s.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5000,
  // A queue of long proposals is longer than the 4 MiB that gRPC would take; etcd's Go client takes any length, too.
  'grpc.max_receive_message_length': -1,
  // Retries are our own, and a proxy is never obeyed silently.
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  // Statistics that nobody reads cost 1 ms at the start.
  'grpc.enable_channelz': 0,
  'grpc.service_config_disable_resolution': 1,
}

/** How a member is known, and how we are known to it; files in PEM format. */
export interface Security {
  /** Who vouches for it; without: whom Node trusts. */
  ca?: Buffer | undefined
  certificate?: Buffer | undefined
  key?: Buffer | undefined
  /** What its certificate must name, if not the host of the endpoint. */
  serverName?: string | undefined
}

/** How a member is reached. */
export interface Access {
  /** Needed for `https`. */
  tls?: Security | undefined
  /** The same for all members. Without: one that wants to know a user refuses. */
  authentication?: Authentication | undefined
}

type Service = 'Auth' | 'KV' | 'Lease' | 'Watch'
type UnaryMethod = (
  request: unknown,
  metadata: Metadata,
  done: (error: ServiceError | null, answer: unknown) => void,
) => ClientUnaryCall
type StreamMethod = (metadata: Metadata) => ClientDuplexStream<unknown, unknown>

/**
 * One etcd member and the connection to it: etcd3's clients without its policies (random host, circuit breaker, three
 * retries of every call), which do not fit a lock.
 *
 * Deadlines are the caller's signal and not gRPC's own, which count wall time.
 */
export class Member implements Authenticator {
  readonly endpoint: string
  readonly #host: Host
  readonly #authentication: Authentication | undefined
  /** Ends each open stream with an error. */
  readonly #streams = new Set<(error: Error) => void>()

  /**
   * @param endpoint `https://host:port`; `http://` without `tls`
   * @throws what Node says of certificates and keys that it cannot read
   */
  constructor(endpoint: string, {tls, authentication}: Access = {}) {
    this.endpoint = endpoint
    const {ca, key, certificate, serverName} = tls ?? {}
    this.#host = new Host(
      endpoint,
      tls === undefined
        ? credentials.createInsecure()
        : // Without the option, NODE_TLS_REJECT_UNAUTHORIZED=0 would let everybody pass for a member.
          credentials.createSsl(ca ?? null, key ?? null, certificate ?? null, {rejectUnauthorized: true}),
      serverName === undefined
        ? channelOptions
        : {...channelOptions, 'grpc.ssl_target_name_override': serverName},
    )
    this.#authentication = authentication
  }

  authenticate(request: unknown, signal: AbortSignal): Promise<IAuthenticateResponse> {
    return this.#unary('Auth', 'authenticate', request, new Metadata(), signal)
  }

  /**
   * One request, one answer. Rejects with gRPC's `ServiceError`; with `signal.reason` as soon as that is aborted; with
   * `LeashError` `permission` if the member does not know the user, or the user may not do that.
   */
  unary<Answer>(service: Service, method: string, request: unknown, signal: AbortSignal): Promise<Answer> {
    return this.#known(request, signal, (metadata) => this.#unary(service, method, request, metadata, signal))
  }

  #unary<Answer>(
    service: Service,
    method: string,
    request: unknown,
    metadata: Metadata,
    signal: AbortSignal,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error)
      const onAbort = (): void => {
        reject(signal.reason as Error)
        call.cancel()
      }
      const call = this.#method<UnaryMethod>(service, method)(request, metadata, (error, answer) => {
        signal.removeEventListener('abort', onAbort)
        if (error === null) resolve(answer as Answer)
        else reject(error)
      })
      signal.addEventListener('abort', onAbort, {once: true})
    })
  }

  /**
   * Opens a stream, sends one request, and hands every answer to `onAnswer` until that returns true, which ends the
   * stream and resolves. Rejects when the stream breaks or ends before, and as `unary`. A stream that stands outlives its
   * token: etcd looks at that when the stream, or a watch on it, begins.
   *
   * The stream asks for a leader: without that, a member that was cut off from its quorum keeps it open in silence.
   */
  stream<Answer>(
    service: Service,
    method: string,
    request: unknown,
    onAnswer: (answer: Answer) => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#known(request, signal, (metadata) =>
      this.#stream(service, method, request, onAnswer, metadata, signal),
    )
  }

  #stream<Answer>(
    service: Service,
    method: string,
    request: unknown,
    onAnswer: (answer: Answer) => boolean,
    metadata: Metadata,
    signal: AbortSignal,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error)
      metadata.set('hasleader', 'true')
      const stream = this.#method<StreamMethod>(service, method)(metadata)
      const end = (settle: () => void): void => {
        this.#streams.delete(fail)
        signal.removeEventListener('abort', onAbort)
        settle()
        // Last, for it costs half a millisecond, and whoever has heard what it waited for has a request to send now.
        setImmediate(() => stream.cancel())
      }
      const fail = (error: Error): void => end(() => reject(error))
      const onAbort = (): void => fail(signal.reason as Error)
      signal.addEventListener('abort', onAbort, {once: true})
      this.#streams.add(fail)
      // Stays after the end: a cancelled stream says `error` once more, and nobody listening would end the process.
      stream.on('error', fail)
      stream.on('end', () => fail(brokenStream()))
      stream.on('data', (answer: Answer) => {
        try {
          if (onAnswer(answer)) end(resolve)
        } catch (error) {
          fail(error as Error)
        }
      })
      stream.write(request)
    })
  }

  /**
   * Throws the connection away: one that let a request wait past its deadline is not trusted with the next. Its streams
   * end, too; gRPC would leave them open on it, a watch that hears nothing any more among them.
   */
  reset(): void {
    for (const fail of [...this.#streams]) fail(brokenStream())
    this.#host.resetAllServices()
  }

  /** Ends the connection for good. */
  close(): void {
    this.#host.close()
  }

  /** Makes a call as the user that we are; one that this user may not make rejects with the right that is missing. */
  async #known<Answer>(
    request: unknown,
    signal: AbortSignal,
    call: (metadata: Metadata) => Promise<Answer>,
  ): Promise<Answer> {
    const authentication = this.#authentication
    let metadata = new Metadata()
    const withToken = (token: string | undefined): Promise<Answer> => {
      metadata = new Metadata()
      if (token !== undefined) metadata.set('token', token)
      return call(metadata)
    }
    try {
      return await (authentication === undefined
        ? call(metadata)
        : authentication.call(this, signal, withToken))
    } catch (error) {
      if (!isDenied(error)) throw error
      const ask = <Told>(method: string, about: unknown): Promise<Told> =>
        this.#unary('Auth', method, about, metadata, signal)
      throw await refusal({request, user: authentication?.user, endpoint: this.endpoint, cause: error}, ask)
    }
  }

  #method<Method>(service: Service, method: string): Method {
    const client = this.#host.getServiceClient(service) as unknown as Record<
      string,
      (...args: unknown[]) => unknown
    >
    return client[method]?.bind(client) as Method
  }
}

function brokenStream(): Error {
  return Object.assign(new Error('stream ended'), {code: status.UNAVAILABLE, details: 'the stream ended'})
}
