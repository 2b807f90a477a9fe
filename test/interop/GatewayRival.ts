import {grant, keepAlive, revoke} from '../support/etcdGateway.ts'
import * as services from '../support/etcdServices.ts'
import {pause} from '../support/wait.ts'
import {type Rival, type Service, type StartRival, proposal} from './Rival.ts'

const ttlS = 3
const renewMs = 500

/** A program without a client of etcd, which has HTTP: it uses v3lock or v3election, and renews its lease itself. */
export class GatewayRival implements Rival {
  readonly #url: string
  readonly #lease: string
  readonly #dead = new AbortController()
  readonly #renewing: Promise<void>
  #giveBack: (() => Promise<void>) | undefined

  private constructor(url: string, service: Service, name: string, lease: string) {
    this.#url = url
    this.#lease = lease
    this.#renewing = this.#renew()
    // One that has died, or whose lease was taken away, is told of a failure, if of anything.
    this.#ask(service, name).catch(() => {})
  }

  static readonly start: StartRival = async ({url}, service, name) =>
    new GatewayRival(url, service, name, await grant(url, ttlS))

  get hasIt(): boolean {
    return this.#giveBack !== undefined
  }

  async release(): Promise<void> {
    if (this.#giveBack === undefined) throw new Error('it has nothing to give back')
    await this.#giveBack()
  }

  async crash(): Promise<void> {
    this.#dead.abort()
    await this.#renewing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.crash()
    await revoke(this.#url, this.#lease).catch(() => {
      // It has run out, or etcd is down.
    })
  }

  async #ask(service: Service, name: string): Promise<void> {
    if (service === 'lock') {
      const key = await services.lock(this.#url, name, this.#lease)
      this.#giveBack = () => services.unlock(this.#url, key)
    } else {
      const leader = await services.campaign(this.#url, name, this.#lease, proposal)
      this.#giveBack = () => services.resign(this.#url, leader)
    }
  }

  async #renew(): Promise<void> {
    while (!this.#dead.signal.aborted) {
      await keepAlive(this.#url, this.#lease).catch(() => 0)
      await pause(renewMs)
    }
  }
}
