import {afterAll, beforeAll} from 'vitest'
import {EtcdServer} from '../../support/EtcdServer.ts'
import {deleteKey, keysUnder, leases, revoke} from '../../support/etcdGateway.ts'
import {removeHandlesAt} from './Script.ts'

/** An etcd that the tests of one file share, there from the first to the last of them. */
export class SharedEtcd {
  #server: EtcdServer | undefined

  /** The server itself. */
  get server(): EtcdServer {
    if (this.#server === undefined) throw new Error('etcd is there in tests and hooks only')
    return this.#server
  }

  get url(): string {
    return this.server.url
  }

  /** Nothing is held any more, and nothing is left of it. */
  async empty(): Promise<void> {
    for (const lease of await leases(this.url))
      await revoke(this.url, lease).catch(() => {
        // It has run out meanwhile.
      })
    removeHandlesAt(this.url)
    for (const {key} of await keysUnder(this.url, '')) await deleteKey(this.url, key)
  }

  async start(): Promise<void> {
    this.#server = await EtcdServer.start({version: '3.4'})
  }

  async stop(): Promise<void> {
    if (this.#server === undefined) return
    removeHandlesAt(this.url)
    await this.#server[Symbol.asyncDispose]()
  }
}

/** Has one for the tests of the file that calls it. */
export const useEtcd = (): SharedEtcd => {
  const etcd = new SharedEtcd()
  beforeAll(() => etcd.start())
  afterAll(() => etcd.stop())
  return etcd
}
