import {
  Channel,
  credentials,
  makeGenericClientConstructor,
  status,
  type Client,
  type ClientDuplexStream,
  type ServiceDefinition,
  type ServiceError,
} from '@grpc/grpc-js'
import {loadSync} from '@grpc/proto-loader'
import {rpcProto} from '../../src/lib/local/rpcProto.ts'

/** A message as the .proto file has it: 64-bit numbers are decimal strings, bytes Buffers, enums their names. */
export type Message = Readonly<Record<string, unknown>>

/** `UNAVAILABLE: the text` */
export class RpcError extends Error {
  override readonly name = 'RpcError'
  readonly code: string

  constructor({code, details}: Pick<ServiceError, 'code' | 'details'>) {
    super(`${status[code]}: ${details}`)
    this.code = status[code]
  }
}

const definitions = loadSync(rpcProto, {keepCase: true, longs: String, enums: String, defaults: true})
const constructors = Object.fromEntries(
  ['KV', 'Lease', 'Watch', 'Maintenance'].map((service) => [
    service,
    makeGenericClientConstructor(
      definitions[`etcdserverpb.${service}`] as unknown as ServiceDefinition,
      service,
    ),
  ]),
)

type Unary = (
  request: Message,
  options: object,
  done: (error: ServiceError | null, answer: Message) => void,
) => void
type Bidirectional = () => ClientDuplexStream<Message, Message>

/** What an {@link EtcdApi} does, and what stands in front of one. */
export interface Api {
  call(name: string, request: Message): Promise<Message>
  stream(name: string): ClientDuplexStream<Message, Message>
}

/** No answer takes longer on a machine that is not broken, however busy. */
const answerMs = 15_000

/**
 * etcd's v3 API as it is on the wire: no retries, no conversions, every message in full. For tests of whoever serves it.
 * `using` closes the connection.
 */
export class EtcdApi implements Api, Disposable {
  readonly #channel: Channel
  readonly #clients: Record<string, Client>

  /** @param target as gRPC has it: `127.0.0.1:2379` or `unix:/path` */
  constructor(target: string) {
    const channelOverride = new Channel(target, credentials.createInsecure(), {
      'grpc.initial_reconnect_backoff_ms': 20,
      'grpc.max_reconnect_backoff_ms': 200,
      'grpc.enable_http_proxy': 0,
    })
    this.#channel = channelOverride
    this.#clients = Object.fromEntries(
      Object.entries(constructors).map(([service, Service]) => [
        service,
        new Service(target, credentials.createInsecure(), {channelOverride}),
      ]),
    )
  }

  #method<T>(name: string): T {
    const [service = '', method = ''] = name.split('.')
    const client = this.#clients[service] as unknown as Record<string, () => void>
    return client[method]?.bind(client) as T
  }

  /** One request, one answer. @throws {RpcError} */
  call(name: string, request: Message, withinMs = answerMs): Promise<Message> {
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + withinMs
      this.#method<Unary>(name)(request, {deadline}, (error, answer) =>
        error ? reject(new RpcError(error)) : resolve(answer),
      )
    })
  }

  /** A stream of requests and answers; it ends with `error`, whose code is a gRPC status, or with `end`. */
  stream(name: string): ClientDuplexStream<Message, Message> {
    return this.#method<Bidirectional>(name)()
  }

  [Symbol.dispose](): void {
    this.#channel.close()
  }
}
