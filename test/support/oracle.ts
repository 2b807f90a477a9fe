import {once} from 'node:events'
import {readFileSync, rmSync} from 'node:fs'
import {createServer, type Server, type Socket} from 'node:net'
import path from 'node:path'
import {isStopped} from './processes.ts'
import {scratchDirectory} from './scratch.ts'
import {nowMs, until} from './wait.ts'

/** What the fixture can be told to be; fixture.pl says what each means. */
export type FixtureMode =
  | 'ignore-term'
  | 'fork'
  | 'own-groups'
  | 'setsid'
  | 'daemon'
  | 'fork-loop'
  | 'many'
  | 'stop'
  | 'closed-pipe'
  | 'tidy'
  | 'shared'
  | `slots=${number}`

/** What leash told the child through its environment. Empty where it told nothing. */
export interface Running {
  /** By the fixture's own clock, which is ours. */
  readonly atMs: number
  readonly pid: number
  readonly lock: string
  readonly fence: string
  readonly lease: string
  readonly key: string
}

export interface Note {
  readonly event: 'running' | 'resting' | 'working' | 'VIOLATION' | 'overlap-ended' | 'ended'
  readonly name: string
  readonly atMs: number
  readonly pid: number
  readonly rest: readonly string[]
}

const parse = (line: string): Note => {
  const [event, name = '', ns = '0', pid = '0', ...rest] = line.split('\t')
  return {event: event as Note['event'], name, atMs: Number(BigInt(ns)) / 1e6, pid: Number(pid), rest}
}

/** One process tree: the fixture and all that it forked, as the kernel counts them by an open socket. */
export class Tree {
  readonly name: string
  readonly #notes: Note[] = []
  #socket: Socket | undefined
  #emptyAtMs: number | undefined
  #waking: NodeJS.Timeout | undefined

  constructor(name: string) {
    this.name = name
  }

  get hasStarted(): boolean {
    return this.#notes.some(({event}) => event === 'running')
  }

  /** Undefined before the start, and while any process of it lives. To the millisecond, late rather than early. */
  get emptyAtMs(): number | undefined {
    return this.#emptyAtMs
  }

  /** Resolves when the fixture said that it runs. */
  async running(withinMs = 10_000, detail?: () => string): Promise<Running> {
    const note = await until(
      `the job ${this.name} to say "running"`,
      () => this.#notes.find(({event}) => event === 'running'),
      {withinMs, everyMs: 2, ...(detail && {detail})},
    )
    const [lock = '', fence = '', lease = '', key = ''] = note.rest
    return {atMs: note.atMs, pid: note.pid, lock, fence, lease, key}
  }

  /** Resolves with the moment at which its last process had gone. */
  empty(withinMs = 30_000, detail?: () => string): Promise<number> {
    return until(`the tree of ${this.name} to be empty`, () => this.#emptyAtMs, {
      withinMs,
      everyMs: 2,
      ...(detail && {detail}),
    })
  }

  /** Tells the running fixture to end by itself. */
  exit(status: number, afterMs = 0): void {
    const pid = this.#notes[0]?.pid
    if (!this.#socket || pid === undefined) throw new Error(`${this.name} does not run`)
    this.#socket.write(`exit ${status} ${afterMs}\n`)
    // It may have stopped itself, or be about to.
    this.#waking ??= setInterval(() => {
      if (this.#emptyAtMs !== undefined) clearInterval(this.#waking)
      else if (isStopped(pid)) process.kill(pid, 'SIGCONT')
    }, 5).unref()
  }

  adopt(socket: Socket): void {
    this.#socket = socket
    socket.on('error', () => {})
    socket.on('close', () => (this.#emptyAtMs ??= nowMs()))
  }

  take(note: Note): void {
    this.#notes.push(note)
  }
}

/**
 * The oracle for "at most one": the kernel. All trees of one oracle want the same local flock; the fixture opens
 * and takes it itself, so it is held exactly as long as any process of that tree lives. One oracle for each lock. The same for
 * "no writer beside a reader" and "at most N", with fixtures that are told so.
 */
export class Oracle implements AsyncDisposable {
  readonly directory: string
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #trees = new Map<string, Tree>()

  private constructor(directory: string, server: Server) {
    this.directory = directory
    this.#server = server
    server.on('connection', (socket) => this.#accept(socket))
  }

  static async create(): Promise<Oracle> {
    const directory = scratchDirectory('oracle')
    const server = createServer()
    server.listen(path.join(directory, 'socket'))
    await once(server, 'listening')
    return new Oracle(directory, server)
  }

  /** The command line that runs one tree; `name` is its own. */
  command(name: string, modes: readonly FixtureMode[] = []): string[] {
    return ['perl', path.join(import.meta.dirname, 'fixture.pl'), this.directory, name, ...modes]
  }

  tree(name: string): Tree {
    const tree = this.#trees.get(name) ?? new Tree(name)
    this.#trees.set(name, tree)
    return tree
  }

  /** All that the fixtures noted, in order, those included that were killed right after. */
  notes(): Note[] {
    try {
      return readFileSync(path.join(this.directory, 'record'), 'utf8').trimEnd().split('\n').map(parse)
    } catch {
      return []
    }
  }

  /** Each time a tree started beside one that it must not live beside. Must be empty. */
  violations(): Note[] {
    return this.notes().filter(({event}) => event === 'VIOLATION')
  }

  /** Fixtures that still run end by themselves then. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    rmSync(this.directory, {recursive: true, force: true})
    return Promise.resolve()
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    let rest = ''
    let adopted = false
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const note of lines.map(parse)) {
        const tree = this.tree(note.name)
        if (!adopted) tree.adopt(socket)
        adopted = true
        tree.take(note)
      }
    })
  }
}
