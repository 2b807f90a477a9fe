import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {etcdctlProgram, type EtcdServer} from '../support/EtcdServer.ts'

/** Whom etcdctl speaks to, and which version of it. */
export type Endpoint = Pick<EtcdServer, 'url' | 'version'>

/** etcdctl as a program that goes on until it is ended. `await using` kills it. */
export class EtcdctlProcess implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #exit: Promise<unknown>
  #output = ''
  #errors = ''

  constructor(etcd: Endpoint, ...args: string[]) {
    this.#process = spawn(etcdctlProgram(etcd.version), ['--endpoints', etcd.url, ...args], {
      env: {...process.env, ETCDCTL_API: '3'},
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#output += text))
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#errors += text))
    this.#exit = once(this.#process, 'exit')
  }

  get output(): string {
    return this.#output
  }

  /** What it said on stderr: for the reader of a failure. */
  get errors(): string {
    return this.#errors
  }

  /** As a person ends it: it deletes its key, and revokes nothing. */
  async interrupt(): Promise<void> {
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
