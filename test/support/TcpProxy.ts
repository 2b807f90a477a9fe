import {once} from 'node:events'
import {connect, createServer, type Server, type Socket} from 'node:net'
import {reset} from './reset.ts'
import {freePorts} from './scratch.ts'
import {nowMs} from './wait.ts'

export type Direction = 'both' | 'toServer' | 'toClient'

/** One way of one connection. What passes it stays in order, an end or a reset included. */
class Way {
  readonly #from: Socket
  readonly #underWay: {readonly dueAtMs: number; readonly deliver: () => void}[] = []
  #delayMs = 0
  #held = false
  #timer: NodeJS.Timeout | undefined

  constructor(from: Socket, to: Socket) {
    this.#from = from
    from.on('data', (bytes: Buffer) => this.#pass(() => to.write(bytes)))
    from.on('end', () => this.#pass(() => to.end()))
    from.on('error', () => this.#pass(() => reset(to)))
  }

  set(held: boolean, delayMs: number): void {
    this.#held = held
    this.#delayMs = delayMs
    // Not reading leaves the bytes to the kernel, so a sender is held up as on a dead network.
    if (held) this.#from.pause()
    else this.#from.resume()
    this.#pump()
  }

  #pass(deliver: () => void): void {
    this.#underWay.push({dueAtMs: nowMs() + this.#delayMs, deliver})
    this.#pump()
  }

  #pump(): void {
    clearTimeout(this.#timer)
    for (let next = this.#underWay[0]; next && !this.#held; next = this.#underWay[0]) {
      const waitMs = next.dueAtMs - nowMs()
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#pump(), waitMs)
        return
      }
      this.#underWay.shift()
      next.deliver()
    }
  }
}

interface Connection {
  readonly client: Socket
  readonly server: Socket
  readonly toServer: Way
  readonly toClient: Way
}

/**
 * A TCP relay in front of one loopback server, which fails as a network does. It knows nothing of what it carries.
 *
 * A black hole swallows nothing for good. On a real network the sender's kernel sends again, so bytes arrive late
 * or the connection dies; here they are held, and `heal` delivers them in order (the default) or resets the
 * connections. Ends and resets are held like bytes: nobody hears that the other side has gone. One difference
 * remains: in a hole a new connection is still accepted, and only its bytes are held.
 */
export class TcpProxy implements AsyncDisposable {
  readonly port: number
  readonly url: string
  readonly #target: number
  readonly #connections = new Set<Connection>()
  readonly #abandoned = new WeakSet<Connection>()
  #listener: Server | undefined
  #hole: Direction | undefined
  #delayMs = 0

  private constructor(target: number, port: number) {
    this.#target = target
    this.port = port
    this.url = `http://127.0.0.1:${port}`
  }

  /** A relay to `target` on a port of its own. */
  static async to(target: {readonly port: number}): Promise<TcpProxy> {
    const [port = 0] = await freePorts(1)
    const proxy = new TcpProxy(target.port, port)
    await proxy.#listen()
    return proxy
  }

  /** How many connections stand. */
  get connectionCount(): number {
    return this.#connections.size
  }

  /** Carries nothing in this direction until healed. */
  blackhole(direction: Direction = 'both'): void {
    this.#hole = direction
    this.#apply()
  }

  /** Carries each byte this much later, each way. */
  delay(ms: number): void {
    this.#delayMs = ms
    this.#apply()
  }

  /**
   * All connections are dead from now on, and neither end ever hears of it, as when a router between them has lost its
   * state; new ones are carried.
   */
  abandonConnections(): void {
    for (const connection of this.#connections) this.#abandoned.add(connection)
    this.#apply()
  }

  /** Resets all connections; new ones are refused until healed. */
  reset(): void {
    this.#listener?.close()
    this.#listener = undefined
    this.dropConnections()
  }

  /** Resets all connections; new ones are carried. */
  dropConnections(): void {
    for (const {client, server} of this.#connections) {
      reset(client)
      reset(server)
    }
  }

  /** Carries everything again, at once. What a black hole held is delivered, or its connections are reset. */
  async heal(held: 'deliver' | 'reset' = 'deliver'): Promise<void> {
    if (held === 'reset') this.dropConnections()
    this.#hole = undefined
    this.#delayMs = 0
    this.#apply()
    if (!this.#listener) await this.#listen()
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.reset()
    return Promise.resolve()
  }

  async #listen(): Promise<void> {
    const listener = createServer({allowHalfOpen: true, pauseOnConnect: true}, (client) =>
      this.#accept(client),
    )
    listener.listen(this.port, '127.0.0.1')
    await once(listener, 'listening')
    this.#listener = listener
  }

  #accept(client: Socket): void {
    const server = connect({port: this.#target, host: '127.0.0.1', allowHalfOpen: true})
    const connection = {client, server, toServer: new Way(client, server), toClient: new Way(server, client)}
    this.#connections.add(connection)
    for (const end of [client, server]) {
      end.setNoDelay(true)
      end.on('close', () => {
        if (client.destroyed && server.destroyed) this.#connections.delete(connection)
      })
    }
    this.#apply([connection])
  }

  #apply(connections: Iterable<Connection> = this.#connections): void {
    const holds = (direction: Direction) => this.#hole === 'both' || this.#hole === direction
    for (const connection of connections) {
      const isDead = this.#abandoned.has(connection)
      connection.toServer.set(isDead || holds('toServer'), this.#delayMs)
      connection.toClient.set(isDead || holds('toClient'), this.#delayMs)
    }
  }
}
