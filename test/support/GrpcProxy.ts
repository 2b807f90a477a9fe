import {once} from 'node:events'
import http2, {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import {type AddressInfo, type Socket, connect as connectSocket} from 'node:net'
import {Deframer} from './grpcFrames.ts'
import {LeaseLedger} from './LeaseLedger.ts'
import {reset} from './reset.ts'
import {nowMs, until} from './wait.ts'

/** One call that was passed on. */
export interface Call {
  /** The method's path, as `/etcdserverpb.KV/Txn`. */
  readonly method: string
  /** When it was passed on: before the server could handle it. */
  readonly atMs: number
}

export interface CutRequest {
  /** The method's path or its last parts: `Lease/LeaseGrant`, `KV/Txn`. Calls with one answer only. */
  readonly method: string
  /** Which call of that method, counted from now; 1, the next, by default. */
  readonly nth?: number
  /** `reset` (default): the client's connection dies. `silence`: that one answer never comes. */
  readonly how?: 'reset' | 'silence'
}

interface NumberedSocket extends Socket {
  relayNumber?: number
}

/** Where a `unix:` target is. */
const socketPathOf = (url: string): string | undefined =>
  url.startsWith('unix:') ? url.slice('unix:'.length) : undefined

/** A cut that is planned or done. */
export class Cut {
  readonly #request: CutRequest
  #callsLeft: number
  #doneAtMs: number | undefined

  constructor(request: CutRequest) {
    this.#request = request
    this.#callsLeft = request.nth ?? 1
  }

  get how(): 'reset' | 'silence' {
    return this.#request.how ?? 'reset'
  }

  /** Is this call the one? Asked once for each call. */
  takes(method: string): boolean {
    return method.endsWith(this.#request.method) && --this.#callsLeft === 0
  }

  finish(): void {
    this.#doneAtMs = nowMs()
  }

  /** When the answer had come from the server, and was cut off. */
  done(withinMs = 10_000): Promise<number> {
    return until(`the answer to ${this.#request.method} to be cut off`, () => this.#doneAtMs, {
      withinMs,
      everyMs: 2,
    })
  }
}

/**
 * A relay in front of one etcd that knows gRPC: it counts calls, notes when leases were renewed, and can lose the
 * answer to one chosen call after the server has committed it. Each connection of a client has one of its own to
 * the server; when one dies, so does the other. Not passed on: HTTP/2 pings, which each side gets answered by the
 * relay itself, so a client's ping does not notice that the server stands still.
 */
export class GrpcProxy implements AsyncDisposable {
  /** 0 on a `unix:` socket. */
  readonly port: number
  readonly url: string
  /** All calls, in the order in which they were passed on. */
  readonly calls: Call[] = []
  /** When each lease was last renewed, as seen here. */
  readonly leases: LeaseLedger
  readonly #target: string
  readonly #server: Http2Server
  readonly #cuts: Cut[] = []
  /** The clients' connections by a number that is noted on them: a session does not hand out its own. */
  readonly #clients = new Map<number | undefined, NumberedSocket>()
  readonly #upstreams = new Map<ServerHttp2Session, ClientHttp2Session>()

  private constructor(target: string, server: Http2Server, leases: LeaseLedger) {
    this.#target = target
    this.#server = server
    this.leases = leases
    const address = server.address() as AddressInfo | string
    this.port = typeof address === 'string' ? 0 : address.port
    this.url = typeof address === 'string' ? `unix:${address}` : `http://127.0.0.1:${this.port}`
    let count = 0
    // Before there is a session, which knows the socket by this number only.
    server.prependListener('connection', (socket: NumberedSocket) => {
      const number = ++count
      socket.relayNumber = number
      socket.setNoDelay(true)
      this.#clients.set(number, socket)
      socket.on('error', () => {})
      socket.on('close', () => this.#clients.delete(number))
    })
    server.on('session', (session) => this.#open(session))
    server.on('stream', (stream, headers) => this.#relay(stream, headers))
  }

  /**
   * A relay to `target` on a port of its own; `like-target`, to a `unix:` one, on a socket beside it. The relays in front of one
   * cluster share a ledger.
   */
  static async to(
    target: {readonly url: string},
    {
      leases = new LeaseLedger(),
      listensOn = 'port',
    }: {readonly leases?: LeaseLedger; readonly listensOn?: 'port' | 'like-target'} = {},
  ): Promise<GrpcProxy> {
    const server = http2.createServer()
    const socketPath = socketPathOf(target.url)
    if (listensOn === 'port' || socketPath === undefined) server.listen(0, '127.0.0.1')
    else server.listen(`${socketPath}.relay`)
    await once(server, 'listening')
    return new GrpcProxy(target.url, server, leases)
  }

  /** The calls so far by the last part of their names, in order: `['LeaseGrant', 'Txn', 'Txn', 'LeaseRevoke']`. */
  get methods(): string[] {
    return this.calls.map(({method}) => method.slice(method.lastIndexOf('/') + 1))
  }

  /**
   * Lets one chosen request through, and loses the answer once the server has sent it, with success: so the
   * request is committed and its sender cannot know. Each cut works once.
   */
  cutAfterCommit(request: CutRequest): Cut {
    const cut = new Cut(request)
    this.#cuts.push(cut)
    return cut
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    for (const upstream of this.#upstreams.values()) upstream.destroy()
    for (const client of this.#clients.values()) reset(client)
    return Promise.resolve()
  }

  #open(session: ServerHttp2Session): void {
    const socketPath = socketPathOf(this.#target)
    const upstream =
      socketPath === undefined
        ? http2.connect(this.#target)
        : http2.connect('http://localhost', {createConnection: () => connectSocket(socketPath)})
    this.#upstreams.set(session, upstream)
    const {relayNumber} = session.socket as NumberedSocket
    session.on('error', () => {})
    upstream.on('error', () => {})
    session.on('close', () => {
      upstream.destroy()
      this.#upstreams.delete(session)
    })
    upstream.on('close', () => this.#dropClient(relayNumber))
    upstream.on('goaway', () => this.#dropClient(relayNumber))
  }

  #dropClient(relayNumber: number | undefined): void {
    const client = this.#clients.get(relayNumber)
    if (client) reset(client)
  }

  #relay(client: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const upstream = this.#upstreams.get(client.session as ServerHttp2Session)
    const method = headers[':path']
    if (!upstream || upstream.destroyed || method === undefined) {
      client.close(http2.constants.NGHTTP2_REFUSED_STREAM)
      return
    }
    const cut = this.#cuts.find((planned) => planned.takes(method))
    this.calls.push({method, atMs: nowMs()})
    const server = upstream.request(headers, {endStream: false})
    this.#followLease(method, client, server)
    client.on('data', (bytes: Buffer) => server.write(bytes))
    client.on('end', () => server.end())
    client.on('error', () => {})
    server.on('error', () => {})
    client.on('close', () => server.close(client.rstCode))
    if (cut) this.#lose(cut, client, server)
    else passAnswer(server, client)
  }

  /** Swallows the answer, and ends as planned when all of it has come. */
  #lose(cut: Cut, client: ServerHttp2Stream, server: ClientHttp2Stream): void {
    const relayNumber = (client.session?.socket as NumberedSocket | undefined)?.relayNumber
    server.on('data', () => {})
    server.on('trailers', (trailers: IncomingHttpHeaders) => {
      // An error is not a commit. Nothing finishes then, and whoever waits for the cut is told so.
      if (trailers['grpc-status'] !== '0') return
      if (cut.how === 'reset') this.#dropClient(relayNumber)
      cut.finish()
    })
  }

  #followLease(method: string, client: ServerHttp2Stream, server: ClientHttp2Stream): void {
    if (!/Lease\/Lease(Grant|KeepAlive)$/.test(method)) return
    const unansweredSinceMs: number[] = []
    const requests = new Deframer()
    const answers = new Deframer()
    client.on('data', (bytes: Buffer) => {
      unansweredSinceMs.push(...requests.push(bytes).map(nowMs))
    })
    // etcd answers the requests of one stream in their order.
    server.on('data', (bytes: Buffer) => {
      for (const answer of answers.push(bytes))
        this.leases.answered(unansweredSinceMs.shift() ?? -Infinity, answer)
    })
  }
}

/** Headers, body and trailers as they come; an answer may also be trailers alone. */
const passAnswer = (server: ClientHttp2Stream, client: ServerHttp2Stream): void => {
  let trailers: IncomingHttpHeaders = {}
  const open = (): boolean => !client.destroyed && !client.closed
  server.on('response', (headers, flags) => {
    if (!open()) return
    const endStream = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0
    client.respond(headers, {endStream, waitForTrailers: !endStream})
  })
  server.on('data', (bytes: Buffer) => open() && client.write(bytes))
  server.on('trailers', (received: IncomingHttpHeaders) => (trailers = received))
  server.on('end', () => open() && client.headersSent && client.end())
  client.on('wantTrailers', () => client.sendTrailers(trailers))
  server.on('close', () => open() && !client.writableEnded && client.close(server.rstCode))
}
