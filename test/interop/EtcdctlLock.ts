import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {etcdctlProgram, type EtcdServer} from '../support/EtcdServer.ts'
import {until} from '../support/wait.ts'

/** `etcdctl lock NAME`, which prints the key of its ticket when it has the lock, and holds it until it is interrupted. */
export class EtcdctlLock implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #exit: Promise<unknown>
  #output = ''

  constructor(etcd: EtcdServer, name: string) {
    const args = ['--endpoints', etcd.url, 'lock', '--ttl', '2', name]
    this.#process = spawn(etcdctlProgram(etcd.version), args, {
      env: {...process.env, ETCDCTL_API: '3'},
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#output += text))
    this.#exit = once(this.#process, 'exit')
  }

  static async holding(etcd: EtcdServer, name: string): Promise<EtcdctlLock> {
    const lock = new EtcdctlLock(etcd, name)
    await lock.locked()
    return lock
  }

  get key(): string {
    return this.#output.trim()
  }

  get hasLock(): boolean {
    return this.key !== ''
  }

  async locked(): Promise<void> {
    await until('etcdctl to get the lock', () => this.hasLock, {withinMs: 20_000})
  }

  /** As a person ends it: it deletes its key, and revokes nothing. */
  async release(): Promise<void> {
    this.#process.kill('SIGINT')
    await this.#exit
  }

  async killHard(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#exit
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killHard()
  }
}
