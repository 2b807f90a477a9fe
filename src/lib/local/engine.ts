import {chmodSync, renameSync, rmSync, statSync} from 'node:fs'
import path from 'node:path'
import {Server, ServerCredentials} from '@grpc/grpc-js'
import type {Clock} from '../core/clock.ts'
import {LeashError} from '../core/errors.ts'
import {openLogStorage} from './logStorage.ts'
import {serveStore} from './service.ts'
import {type Storage, Superseded} from './storage.ts'
import {Store} from './store.ts'

/** Why an engine has ended. */
type EngineEnd =
  /** It was told to. */
  | {readonly why: 'stopped'}
  /** There was no lease and no call for a while. */
  | {readonly why: 'idle'}
  /** Another engine has its store. */
  | {readonly why: 'superseded'}
  /** Its store could not be written. */
  | {readonly why: 'failed'; readonly error: unknown}

/** An engine that serves. */
export interface Engine {
  /** Resolves when it serves nobody any more. */
  readonly ended: Promise<EngineEnd>
  /**
   * Ends it; what it has acknowledged stays.
   *
   * @param patienceMs as long as somebody has a lease, but not for longer, it serves on; by default it ends at once
   */
  stop(patienceMs?: number): Promise<void>
}

/** What an engine is made of. */
export interface EngineInput {
  readonly socketPath: string
  readonly clock: Clock
  /** Ends by itself after so long without leases and calls; without it, never. */
  readonly idleMs?: number
}

/** How soon an engine that nobody asks anything finds out that it is superseded or idle. */
const lookMs = 1000

/** How soon an engine that is told to end finds out that nobody has a lease any more. */
const lookForLeasesMs = 50

/** A client on the same machine has taken its answer by then. */
const farewellMs = 500

const ownerOnly = 0o600

const serverOptions = {
  // etcd takes 1.5 MiB, and says so itself of what is a little more.
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
  'grpc.max_send_message_length': -1,
  // Not without 'grpc.enable_channelz': grpc-js 1.14 would not know its connections then, and could not end them.
}

/**
 * Opens the store in `directory`, which ends whichever engine had it, and serves it on `socketPath`, in place of whatever socket
 * is there. Directory and the one of the socket exist, and nobody else can write into them.
 *
 * @throws LeashError if the store cannot be opened or the socket not be made
 */
export async function startEngine({directory, ...input}: EngineInput & {directory: string}): Promise<Engine> {
  return serveStorage(await openLogStorage(directory), input)
}

/** An engine on a storage that is open, which it closes at its end. */
export async function serveStorage(
  storage: Storage,
  {socketPath, clock, idleMs = Infinity}: EngineInput,
): Promise<Engine> {
  const server = new Server(serverOptions)
  let end: (end: EngineEnd) => void = () => {}
  const first = new Promise<EngineEnd>((resolve) => (end = resolve))
  const store = new Store(storage, clock, (error) =>
    end(error instanceof Superseded ? {why: 'superseded'} : {why: 'failed', error}),
  )
  const activity = {calls: 0, atMs: clock.elapsedMs()}
  const service = serveStore(server, store, {
    began: () => activity.calls++,
    ended: () => {
      activity.calls--
      activity.atMs = clock.elapsedMs()
    },
  })
  let inode: number | undefined
  try {
    inode = await bind(server, socketPath, storage)
    if (inode === undefined) store.check()
  } catch (error) {
    await store.close().catch(() => {})
    throw error
  }
  const look = (): void => {
    store.check()
    if (activity.calls > 0 || store.leaseCount > 0) activity.atMs = clock.elapsedMs()
    if (clock.elapsedMs() - activity.atMs >= idleMs) end({why: 'idle'})
    cancelLook = clock.schedule(lookMs, look)
  }
  let cancelLook = clock.schedule(lookMs, look)
  const ended = first.then(async (why) => {
    cancelLook()
    await store.close().catch(() => {})
    // First, so that whoever hears of the end finds nobody, and starts another engine.
    unlinkOwn(socketPath, inode)
    service.endStreams()
    await shutDown(server)
    return why
  })
  return {
    ended,
    stop: async (patienceMs = 0) => {
      const untilMs = clock.elapsedMs() + patienceMs
      const over = new AbortController()
      void first.then(() => over.abort())
      while (store.leaseCount > 0 && clock.elapsedMs() < untilMs && !over.signal.aborted)
        await clock.sleepUntil(clock.elapsedMs() + lookForLeasesMs, over.signal).catch(() => {})
      end({why: 'stopped'})
      await ended
    },
  }
}

/**
 * Makes the socket under another name and gives it its own when it listens, so that there is never one on which nobody listens,
 * and nobody else can connect.
 *
 * @returns its inode; undefined if another engine has the store meanwhile, and nothing was done
 */
async function bind(server: Server, socketPath: string, storage: Storage): Promise<number | undefined> {
  // The epoch is nobody else's, and the name not longer than any socket's that is worth its name.
  const made = path.join(path.dirname(socketPath), `e${storage.epoch}`)
  try {
    rmSync(made, {force: true})
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${made}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      )
    })
    chmodSync(made, ownerOnly)
    const {ino} = statSync(made)
    // Of several that start at once, the one that has the store shall not lose its socket to a slower one.
    if (storage.isCurrent()) {
      renameSync(made, socketPath)
      return ino
    }
    rmSync(made, {force: true})
    return undefined
  } catch (error) {
    server.forceShutdown()
    rmSync(made, {force: true})
    if (error instanceof LeashError) throw error
    const reason = (error as NodeJS.ErrnoException).code ?? String(error)
    throw new LeashError(
      'config',
      `the local engine cannot make its socket ${socketPath}: ${reason}`,
      'let this user write into its directory',
      {cause: error},
    )
  }
}

/** Lets the answers out that were given; a client that does not take them is cut off. */
async function shutDown(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    const late = setTimeout(resolve, farewellMs)
    server.tryShutdown(() => {
      clearTimeout(late)
      resolve()
    })
  })
  server.forceShutdown()
}

/** A newer engine may have put its own there. */
function unlinkOwn(socketPath: string, inode: number | undefined): void {
  try {
    if (statSync(socketPath).ino === inode) rmSync(socketPath, {force: true})
  } catch {
    // It is gone.
  }
}
