import {until} from '../support/wait.ts'
import {EtcdctlProcess, type Endpoint} from './EtcdctlProcess.ts'

/** `etcdctl lock NAME`, which prints the key of its ticket when it has the lock, and holds it until it is interrupted. */
export class EtcdctlLock implements AsyncDisposable {
  readonly #process: EtcdctlProcess

  constructor(etcd: Endpoint, name: string) {
    this.#process = new EtcdctlProcess(etcd, 'lock', '--ttl', '2', name)
  }

  static async holding(etcd: Endpoint, name: string): Promise<EtcdctlLock> {
    const lock = new EtcdctlLock(etcd, name)
    await lock.locked()
    return lock
  }

  get key(): string {
    return this.#process.output.trim()
  }

  get hasLock(): boolean {
    return this.key !== ''
  }

  async locked(): Promise<void> {
    await until('etcdctl to get the lock', () => this.hasLock, {
      withinMs: 20_000,
      detail: () => this.#process.errors,
    })
  }

  release(): Promise<void> {
    return this.#process.interrupt()
  }

  killHard(): Promise<void> {
    return this.#process.killHard()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killHard()
  }
}
