import {closeSync, constants, openSync, rmSync} from 'node:fs'
import {type Server, type Socket, connect, createServer} from 'node:net'
import {basename, dirname} from 'node:path'
import {readLines} from './lines.ts'

/** What a keeper can be asked: to give the locks back, or to have them confirmed now. */
export type KeeperRequest = 'release' | 'renew'

/** Where the keeper of a handle listens: beside it, where nobody but its user can go. */
export function socketPath(handlePath: string): string {
  return `${handlePath}.sock`
}

/**
 * Answers requests for as long as the keeper lives: one to a connection, a line each way.
 *
 * @throws what the system says, if the socket cannot be made
 */
export async function serveKeeper(
  path: string,
  answer: (request: KeeperRequest) => Promise<string>,
): Promise<KeeperServer> {
  const directory = openDirectory(path)
  const silent = new Set<Socket>()
  const server = createServer((socket) => {
    silent.add(socket)
    // Who asked may be gone when the answer comes.
    socket.on('error', () => {})
    void readLines(socket)
      .next()
      .then(async ({value: line}) => {
        silent.delete(socket)
        if (line === 'release' || line === 'renew') socket.end(`${await answer(line)}\n`)
        else socket.destroy()
      })
  })
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(shortPath(directory, path), resolve)
    })
  } catch (error) {
    closeSync(directory)
    throw error
  }
  return new KeeperServer(server, silent, path, directory)
}

/** A keeper's socket. */
export class KeeperServer {
  readonly #server: Server
  /** Who has connected and not asked yet: somebody may have stopped it. */
  readonly #silent: ReadonlySet<Socket>
  readonly #path: string
  readonly #directory: number

  constructor(server: Server, silent: ReadonlySet<Socket>, path: string, directory: number) {
    this.#server = server
    this.#silent = silent
    this.#path = path
    this.#directory = directory
  }

  /** Takes no more requests; resolves when those that were made are answered. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#silent) socket.destroy()
    rmSync(this.#path, {force: true})
    closeSync(this.#directory)
    await closed
  }
}

/**
 * Asks a keeper; undefined if nobody listens, or there is no answer in time.
 *
 * @param limitMs how long a keeper may take that has work to do at etcd
 */
export async function askKeeper(
  path: string,
  request: KeeperRequest,
  limitMs: number,
): Promise<string | undefined> {
  let directory: number | undefined
  try {
    directory = openDirectory(path)
    const socket = connect(shortPath(directory, path))
    const timer = setTimeout(() => socket.destroy(), limitMs)
    socket.on('error', () => {})
    socket.write(`${request}\n`)
    const {value: line} = await readLines(socket).next()
    clearTimeout(timer)
    socket.destroy()
    return line
  } catch {
    return undefined
  } finally {
    if (directory !== undefined) closeSync(directory)
  }
}

function openDirectory(path: string): number {
  return openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY)
}

/** A socket's path has at most 107 bytes, and a home may be far away. A keeper needs /proc anyway. */
function shortPath(directory: number, path: string): string {
  return `/proc/self/fd/${directory}/${basename(path)}`
}
