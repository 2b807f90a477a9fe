import {type ChildProcess, spawn} from 'node:child_process'
import type {Socket} from 'node:net'
import type {ProcessIdentity} from '../child/processIdentity.ts'
import {LeashError, type LeashErrorCode} from '../core/errors.ts'
import {type Handle, decodeHandle, encodeHandle} from './handle.ts'
import {readLines} from './lines.ts'

/** What a keeper can prepare for before there is anything to keep. */
export interface KeepPlan {
  /** For whom it is to keep. */
  kept: ProcessIdentity
  /** What it gets before KILL, if the lease is lost. */
  stopSignal: NodeJS.Signals
  /** How long etcd may take to confirm the lease to the keeper, in milliseconds. */
  limitMs: number
  /** What leash's settings are to be read from: it may let somebody in, and goes over the socket only. */
  environment: Readonly<Record<string, string>>
  /** Of a lock that is wanted. */
  queuePrefix: string
}

/** What a keeper is to keep. */
export interface KeepOrder {
  /** Of the hold that is left to it; without a keeper. */
  handle: Handle
  /** Where the handle's file is to be. */
  directory: string
}

/** The words between `leash acquire` and its keeper, on a socket, each at the beginning of a line. */
const words = {keeping: 'keeping', failed: 'failed', go: 'go'} as const

/**
 * A keeper as the command sees it that starts it: a process in a session of its own, without any descriptor of ours but the
 * socket. What it is given is ours until `go`: if we end before, it gives that back.
 */
export class KeeperProcess {
  readonly #socket: Socket
  readonly #end: Promise<never>
  readonly #answer: Promise<string | undefined>

  private constructor(child: ChildProcess) {
    this.#socket = child.stdio[3] as Socket
    // It may be dead when it is told something; its end says so.
    this.#socket.on('error', () => {})
    this.#end = new Promise((_, reject) => {
      child.once('error', (cause) => reject(notStarted(cause.message)))
      child.once('exit', (code, signal) => reject(notStarted(`it ended with ${signal ?? code}`)))
    })
    this.#end.catch(() => {})
    const lines = readLines(this.#socket)
    this.#answer = lines.next().then(({value}) => value)
    child.unref()
    this.#socket.unref()
  }

  /**
   * @param argv of the hidden command `keep`
   * @param env for what the keeper starts, and nothing else
   */
  static start([program, ...args]: readonly [string, ...string[]], env: NodeJS.ProcessEnv): KeeperProcess {
    const stdio = ['ignore' as const, 'ignore' as const, 'ignore' as const, 'pipe' as const]
    return new KeeperProcess(spawn(program, args, {detached: true, cwd: '/', env, stdio}))
  }

  /** Has it start its guard, and connect to etcd. */
  prepare(plan: KeepPlan): void {
    this.#socket.write(`${JSON.stringify(plan)}\n`)
  }

  /**
   * Has it take over a hold, when it is prepared. Resolves with the path of the handle when it has, and etcd has confirmed the lease to it.
   *
   * @throws LeashError `notExecutable` if it cannot be started or ends; what has kept it from taking over
   */
  async takeOver({handle, ...order}: KeepOrder): Promise<string> {
    this.#socket.ref()
    this.#socket.write(`${JSON.stringify({...order, handle: encodeHandle(handle)})}\n`)
    const answer = (await Promise.race([this.#answer, this.#end])) ?? ''
    this.#socket.unref()
    const [word, text] = [answer.slice(0, answer.indexOf(' ')), answer.slice(answer.indexOf(' ') + 1)]
    if (word === words.keeping) return text
    if (word !== words.failed) throw notStarted('it ended in the middle of its work')
    const {code, message, wayOut} = JSON.parse(text) as {
      code: LeashErrorCode
      message: string
      wayOut: string
    }
    throw new LeashError(code, message, wayOut)
  }

  /** It keeps from now on, whatever becomes of us. */
  go(): void {
    this.#socket.end(`${words.go}\n`)
  }

  /** Gives up: the keeper gives back what it has, and ends. */
  abandon(): void {
    this.#socket.destroy()
  }
}

function notStarted(why: string): LeashError {
  return new LeashError(
    'notExecutable',
    `the keeper, without which nobody renews the lease, did not come up: ${why}`,
    'find out what ended it, and whether leash is installed whole',
  )
}

/** The same link as the keeper sees it. */
export class KeeperLink {
  readonly #socket: Socket
  readonly #lines: AsyncIterator<string, undefined>
  readonly #abandoned = new AbortController()
  #word: Promise<string | undefined> | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', () => {})
    this.#lines = readLines(socket)
  }

  /** Resolves with what to prepare for; undefined if nothing is wanted. */
  async plan(): Promise<KeepPlan | undefined> {
    const {value} = await this.#lines.next()
    return value === undefined ? undefined : (JSON.parse(value) as KeepPlan)
  }

  /** Resolves with what is to be kept; undefined if nothing is. */
  async order(): Promise<KeepOrder | undefined> {
    const {value} = await this.#lines.next()
    if (value === undefined) return undefined
    this.#word = this.#lines.next().then(({value: word}) => {
      if (word !== words.go) this.#abandoned.abort()
      return word
    })
    const {handle: text, ...order} = JSON.parse(value) as Omit<KeepOrder, 'handle'> & {handle: string}
    const decoded = decodeHandle(text)
    if (decoded.is !== 'handle') throw new Error('the order holds no handle')
    return {...order, handle: decoded.handle}
  }

  /** Aborted when nobody wants any more what was ordered. */
  get abandoned(): AbortSignal {
    return this.#abandoned.signal
  }

  /** Says that it is kept. Resolves with true when we are to go on alone, with false if nobody wants it any more. */
  async keeping(path: string): Promise<boolean> {
    this.#socket.write(`${words.keeping} ${path}\n`)
    const word = await this.#word
    this.#socket.destroy()
    return word === words.go
  }

  /** Says why it cannot be kept. */
  failed({code, message, wayOut}: LeashError): void {
    this.#socket.end(`${words.failed} ${JSON.stringify({code, message, wayOut})}\n`)
  }
}
