import {Leash, type Ended} from '../cli/support/leash.ts'
import {etcdctlProgram, type EtcdServer} from '../support/EtcdServer.ts'
import {keysUnder} from '../support/etcdGateway.ts'
import type {Service} from './Rival.ts'

/** A way in which leash holds a lock or leads an election. */
export interface Way {
  readonly title: string
  readonly service: Service
  /** The command line in front of the name. */
  readonly words: readonly string[]
  /** It runs a command: one that a guard ends, and gives back the lock, if leash is killed. */
  readonly hasCommand: boolean
}

export const ways: readonly Way[] = [
  {title: 'run', service: 'lock', words: ['run', '-l'], hasCommand: true},
  {title: 'run --shared', service: 'lock', words: ['run', '--shared', '-l'], hasCommand: true},
  {title: 'run --slots 2', service: 'lock', words: ['run', '--slots', '2', '-l'], hasCommand: true},
  {title: 'campaign -- COMMAND', service: 'election', words: ['campaign'], hasCommand: true},
  {title: 'campaign', service: 'election', words: ['campaign'], hasCommand: false},
]

/** As the other side calls it. */
export const queueOf = ({service}: Way, name: string): string => `leash/${service}/${name}`

/** Prints the queue as it is when it starts, and again when it is told to end: its first act and its last. */
const job = `etcdctl=$0 url=$1 prefix=$2
queue() { "$etcdctl" --endpoints "$url" get --keys-only --prefix "$prefix"; }
queue; echo "holds $LEASH_KEY $$"; read line; queue`

/** What leash has said of its turn. */
export interface Turn {
  /** Of its ticket. */
  readonly key: string
  /** Of its command, if there is one. */
  readonly pid?: number
  /** The keys of all tickets, read by the command at its start; without one, read when leash said that it leads. */
  readonly queue: readonly string[]
}

/** leash, in one of its ways, until it is ended. `await using` kills it and its command. */
export class Contender implements AsyncDisposable {
  readonly #etcd: EtcdServer
  readonly #way: Way
  readonly #queue: string
  readonly #leash: Leash

  constructor(etcd: EtcdServer, way: Way, name: string, ...options: string[]) {
    this.#etcd = etcd
    this.#way = way
    this.#queue = `${queueOf(way, name)}/`
    const command = ['--', 'sh', '-c', job, etcdctlProgram(etcd.version), etcd.url, this.#queue]
    const args = [...way.words, name, '-v', '--endpoints', etcd.url, ...options]
    this.#leash = new Leash([...args, ...(way.hasCommand ? command : [])])
  }

  /** Nothing, as long as it has not had its turn. */
  get stdout(): string {
    return this.#leash.stdout
  }

  /** Resolves when it has found somebody ahead of it. */
  async waits(): Promise<void> {
    await this.#leash.says(/; waiting\n/, 'stderr')
  }

  /** Resolves when it has queued once more, with a ticket of its own. */
  async queuedAgain(): Promise<void> {
    await this.#leash.says(/queued again, at the end\n[^]*; waiting\n/, 'stderr')
  }

  /** Resolves when its command runs, or it says that it leads. */
  async turn(): Promise<Turn> {
    if (!this.#way.hasCommand) {
      const [, , key = ''] = (await this.#leash.says(/elected \d+ \S+\n/)).trim().split(' ')
      return {key, queue: (await keysUnder(this.#etcd.url, this.#queue)).map((ticket) => ticket.key)}
    }
    const [, key = '', pid] = (await this.#leash.says(/holds \S+ \d+\n/)).trim().split(' ')
    return {key, pid: Number(pid), queue: this.#keys(0)}
  }

  /** Tells it to end as it should, and does not wait for that. */
  tellToEnd(): void {
    if (this.#way.hasCommand) this.#leash.endInput()
    else this.#leash.kill('SIGTERM')
  }

  /** The keys of all tickets, read by its command as the last that it did. */
  get queueAtEnd(): readonly string[] {
    return this.#keys(1)
  }

  /** Its status after `tellToEnd`, if all went well. */
  get cleanStatus(): number {
    return this.#way.hasCommand ? 0 : 143
  }

  end(): Promise<Ended> {
    return this.#leash.end()
  }

  /** Stops leash, and not its command. */
  freeze(): void {
    this.#leash.kill('SIGSTOP')
  }

  /** Lets it go on, if it was frozen. */
  thaw(): void {
    this.#leash.kill('SIGCONT')
  }

  /** Kills leash, and not its command. */
  crash(): Promise<void> {
    return this.#leash.killHard()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#leash[Symbol.asyncDispose]()
  }

  #keys(reading: 0 | 1): string[] {
    const text = this.stdout.split(/^holds .*$/m)[reading] ?? ''
    return text.split('\n').filter(Boolean)
  }
}
