import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {freePorts} from '../test/support/scratch.ts'
import {until} from '../test/support/wait.ts'

/** A consul agent on loopback that keeps everything in memory. It ends with the process that started it. */
export class ConsulAgent implements AsyncDisposable {
  readonly address: string
  readonly #process: ChildProcess

  private constructor(address: string, process: ChildProcess) {
    this.address = address
    this.#process = process
  }

  static async start(): Promise<ConsulAgent> {
    const [http = 0, serf = 0, server = 0] = await freePorts(3)
    const ports = ['-http-port', http, '-serf-lan-port', serf, '-server-port', server]
    const off = ['-dns-port', -1, '-grpc-port', -1, '-serf-wan-port', -1]
    const command = ['consul', 'agent', '-dev', '-bind', '127.0.0.1', ...[...ports, ...off].map(String)]
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], {stdio: 'ignore'})
    const agent = new ConsulAgent(`127.0.0.1:${http}`, child)
    await until('consul to have a leader', () => agent.#hasLeader(), {withinMs: 20_000, everyMs: 50})
    return agent
  }

  async #hasLeader(): Promise<boolean> {
    return fetch(`http://${this.address}/v1/status/leader`)
      .then((answer) => answer.json())
      .then(
        (leader) => leader !== '',
        () => false,
      )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await gone
  }
}
