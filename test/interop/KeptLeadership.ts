import {spawn, type ChildProcess} from 'node:child_process'
import {expect} from 'vitest'
import {removeHandlesAt} from '../cli/support/Script.ts'
import {leash} from '../cli/support/leash.ts'
import {keysUnder} from '../support/etcdGateway.ts'

/** The leadership that `leash campaign --keep` has left to a handle. `await using` ends whom it is kept for, and so itself. */
export class KeptLeadership implements AsyncDisposable {
  readonly #url: string
  readonly #kept: ChildProcess
  /** Of its ticket. */
  readonly key: string
  readonly #handle: string

  private constructor(url: string, kept: ChildProcess, key: string, handle: string) {
    this.#url = url
    this.#kept = kept
    this.key = key
    this.#handle = handle
  }

  /** Resolves when it leads. */
  static async of({url}: {url: string}, name: string, value: string): Promise<KeptLeadership> {
    const kept = spawn('sleep', ['1000'])
    const args = ['campaign', name, '--keep', String(kept.pid), '--value', value, '--endpoints', url]
    const {status, stdout, stderr} = await leash(args)
    expect({status, stderr}).toEqual({status: 0, stderr: ''})
    const [ticket] = await keysUnder(url, `leash/election/${name}/`)
    return new KeptLeadership(url, kept, ticket?.key ?? '', stdout.trim())
  }

  async proclaim(value: string): Promise<void> {
    await this.#silently('proclaim', '--value', value)
  }

  async resign(): Promise<void> {
    await this.#silently('resign')
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#kept.kill()
    removeHandlesAt(this.#url)
    return Promise.resolve()
  }

  async #silently(...args: string[]): Promise<void> {
    const ended = await leash([...args, '--handle', this.#handle, '--endpoints', this.#url])
    expect(ended).toEqual({status: 0, stdout: '', stderr: ''})
  }
}
