import {expect} from 'vitest'
import {keysUnder} from '../../support/etcdGateway.ts'
import {until} from '../../support/wait.ts'

/** A lock that no other test uses, and how it stands at etcd. */
export class TestLock {
  static #made = 0
  readonly name = `lock-${TestLock.#made++}`
  readonly #url: string

  constructor({url}: {url: string}) {
    this.#url = url
  }

  /** How many hold it or wait for it. */
  async queueLength(): Promise<number> {
    return (await this.#tickets()).length
  }

  /** The key of the first ticket. */
  async ticket(): Promise<string> {
    const [first] = await this.#tickets()
    if (first === undefined) throw new Error(`nobody wants ${this.name}`)
    return first.key
  }

  /** Resolves when there is no ticket; then there must be no mark of an unclean end either. */
  async isFree(): Promise<void> {
    await until(`${this.name} to be free`, async () => (await this.queueLength()) === 0, {withinMs: 10_000})
    expect((await keysUnder(this.#url, '')).filter(({key}) => key.includes(this.name))).toEqual([])
  }

  #tickets(): ReturnType<typeof keysUnder> {
    return keysUnder(this.#url, `leash/lock/${this.name}/`)
  }
}
