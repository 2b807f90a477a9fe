import {execFile, spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {closeSync, existsSync, openSync, readFileSync, rmSync} from 'node:fs'
import path from 'node:path'
import {promisify} from 'node:util'
import {call} from './etcdGateway.ts'
import {isStopped} from './processes.ts'
import {freePorts, scratchDirectory} from './scratch.ts'
import {until} from './wait.ts'

export type EtcdVersion = '3.4' | '3.5'

export interface EtcdOptions {
  /** Default 3.5. */
  readonly version?: EtcdVersion
  /** Client and peer port; chosen if absent. */
  readonly ports?: readonly [client: number, peer: number]
  readonly name?: string
  /** etcd's own `--initial-cluster`; one member alone if absent. */
  readonly initialCluster?: string
  /** Serves TLS on one more port; to clients without a certificate of `clientCa` too, if there is none. */
  readonly secure?: {readonly certificate: string; readonly key: string; readonly clientCa?: string}
  /** Keeps its data on a disk; default: in memory. */
  readonly disk?: boolean
  /** More flags of etcd. Its timing is left alone by default, so the smallest TTL is 2 s. */
  readonly flags?: readonly string[]
}

const repository = path.resolve(import.meta.dirname, '../..')

/** A program that scripts/etcd-setup has put in place. */
const program = (version: EtcdVersion, name: 'etcd' | 'etcdctl'): string => {
  const file = path.join(repository, '.cache/etcd', version, name)
  if (!existsSync(file)) throw new Error(`${file} is missing: run scripts/etcd-setup`)
  return file
}

class AddressInUse extends Error {}

const secureFlags = ({certificate, key, clientCa}: NonNullable<EtcdOptions['secure']>): string[] => [
  ...['--cert-file', certificate, '--key-file', key],
  ...(clientCa === undefined ? [] : ['--client-cert-auth', '--trusted-ca-file', clientCa]),
]

const startMs = 15_000

/**
 * One real etcd member on loopback. `await using` kills it and removes its data. It also dies with the process
 * that started it, however that ends.
 */
export class EtcdServer implements AsyncDisposable {
  readonly version: EtcdVersion
  readonly name: string
  readonly port: number
  /** The client URL; what `--endpoints` takes. */
  readonly url: string
  /** The same with TLS, if it serves that. */
  readonly secureUrl: string
  readonly #directory: string
  readonly #arguments: string[]
  #process: ChildProcess | undefined

  private constructor(options: EtcdOptions, [client, peer]: readonly [number, number], securePort: number) {
    this.version = options.version ?? '3.5'
    this.name = options.name ?? 'it'
    this.port = client
    this.url = `http://127.0.0.1:${client}`
    this.secureUrl = `https://127.0.0.1:${securePort}`
    this.#directory = scratchDirectory('etcd', options)
    const peerUrl = `http://127.0.0.1:${peer}`
    this.#arguments = [
      ...['--name', this.name, '--data-dir', path.join(this.#directory, 'data')],
      ...['--listen-client-urls', options.secure ? `${this.url},${this.secureUrl}` : this.url],
      ...['--advertise-client-urls', this.url],
      ...(options.secure ? secureFlags(options.secure) : []),
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', options.initialCluster ?? `${this.name}=${peerUrl}`],
      ...['--logger', 'zap', '--log-level', 'warn'],
      ...(options.flags ?? []),
    ]
  }

  /** Starts a member and waits until it answers. Tries other ports if somebody was quicker. */
  static async start(options: EtcdOptions = {}): Promise<EtcdServer> {
    for (let triesLeft = 3; ; triesLeft--) {
      const server = await EtcdServer.launch(options)
      try {
        await server.ready()
        return server
      } catch (error) {
        await server[Symbol.asyncDispose]()
        if (!(error instanceof AddressInUse) || options.ports || triesLeft === 1) throw error
      }
    }
  }

  /** Starts a member without waiting: a member of a cluster answers only when most others run. */
  static async launch(options: EtcdOptions = {}): Promise<EtcdServer> {
    const [client = 0, peer = 0] = options.ports ?? (await freePorts(2))
    const [securePort = 0] = options.secure ? await freePorts(1) : []
    const server = new EtcdServer(options, [client, peer], securePort)
    server.#launch()
    return server
  }

  #launch(): void {
    const log = openSync(this.#logFile, 'a')
    // The kernel kills it when we die, even by SIGKILL, so that a broken-off test run leaves nothing behind.
    const command = ['--pdeathsig', 'KILL', program(this.version, 'etcd'), ...this.#arguments]
    this.#process = spawn('setpriv', command, {stdio: ['ignore', log, log], cwd: this.#directory})
    closeSync(log)
  }

  get #logFile(): string {
    return path.join(this.#directory, 'log')
  }

  get #running(): ChildProcess & {pid: number} {
    const child = this.#process
    if (child?.pid === undefined || !this.isRunning) throw new Error(`etcd ${this.name} does not run`)
    return child as ChildProcess & {pid: number}
  }

  get isRunning(): boolean {
    return this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null
  }

  get pid(): number {
    return this.#running.pid
  }

  /** The last lines of its log. */
  logTail(count = 8): string {
    return readFileSync(this.#logFile, 'utf8').trimEnd().split('\n').slice(-count).join('\n')
  }

  /** Resolves when it answers a linearizable read, or would if it knew who asks: it is up and there is a leader. */
  async ready(withinMs = startMs): Promise<void> {
    await until(
      `etcd ${this.version} at ${this.url} to answer`,
      async () => {
        if (!this.isRunning) {
          const log = this.logTail()
          if (log.includes('address already in use')) throw new AddressInUse(log)
          throw new Error(`etcd ${this.version} ended by itself; the end of its log:\n${log}`)
        }
        const read = call(this.url, '/v3/kv/range', {key: 'AA==', limit: '1'}, 1000)
        return read.then(
          () => true,
          // Says who reads, after it has asked the leader for the revision to read.
          (error: Error) => error.message.includes('user name is empty'),
        )
      },
      {withinMs, everyMs: 20, detail: () => `the end of its log:\n${this.logTail()}`},
    )
  }

  /** SIGKILL, as in a power cut but for the disk. Resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#running
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  /** SIGSTOP. Resolves when it stands still: it accepts connections (the kernel does) and answers nothing. */
  async freeze(): Promise<void> {
    const {pid} = this.#running
    process.kill(pid, 'SIGSTOP')
    await until('etcd to stop', () => isStopped(pid), {withinMs: 2000, everyMs: 1})
  }

  /** SIGCONT. Its clock went on meanwhile. */
  thaw(): void {
    process.kill(this.#running.pid, 'SIGCONT')
  }

  /** Starts it again on the same data and ports, and waits until it answers. */
  async restart(): Promise<void> {
    this.relaunch()
    await this.ready()
  }

  /** As restart, without waiting. */
  relaunch(): void {
    if (this.isRunning) throw new Error(`etcd ${this.name} still runs`)
    this.#launch()
  }

  /** Runs etcdctl of the same version against this member; stdout, or an error with its stderr. */
  etcdctl(...args: string[]): Promise<string> {
    return etcdctl(this.version, this.url, ...args)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isRunning) await this.kill()
    rmSync(this.#directory, {recursive: true, force: true})
  }
}

/** Where etcdctl of that version is, for tests that start it as a program of its own. */
export const etcdctlProgram = (version: EtcdVersion): string => program(version, 'etcdctl')

/** Runs etcdctl against any URL, a relay's for one; stdout, or an error with its stderr. */
export const etcdctl = async (version: EtcdVersion, url: string, ...args: string[]): Promise<string> => {
  const env = {...process.env, ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: url}
  const {stdout} = await promisify(execFile)(etcdctlProgram(version), args, {env, timeout: 10_000})
  return stdout
}
