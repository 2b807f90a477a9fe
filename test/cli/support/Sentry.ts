import {once} from 'node:events'
import {createServer, type AddressInfo, type Server} from 'node:net'

/** Stands where etcd would, answers nothing, and counts who comes. */
export class Sentry implements AsyncDisposable {
  readonly url: string
  readonly #server: Server
  #connections = 0

  private constructor(server: Server) {
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('connection', (socket) => {
      this.#connections++
      socket.destroy()
    })
  }

  static async stand(): Promise<Sentry> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Sentry(server)
  }

  /** How many have come so far. */
  get connections(): number {
    return this.#connections
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    return Promise.resolve()
  }
}
