import {EtcdApi} from '../support/EtcdApi.ts'
import {pause, until} from '../support/wait.ts'
import {Writer} from './Writer.ts'

/** What is killed: a server that keeps what it acknowledged. */
export interface Server {
  /** Where it listens, as gRPC has it. */
  readonly target: string
  /** Begins to start it, on the data that is there. */
  launch(): void
  /** Resolves when it answers. */
  ready(): Promise<void>
  /** SIGKILL, also while it starts. Resolves when it is gone. */
  kill(): Promise<void>
}

export interface Crashes {
  readonly kills: number
  /** Of these, while it was starting. */
  readonly killsAtStart: number
  readonly acknowledged: number
  /** Acknowledged changes that are lost, deleted keys that are back, revisions that went back: one line each. */
  readonly problems: readonly string[]
}

interface Plan {
  readonly kills: number
  /** How many changes are acknowledged before each kill at least; 0 lets it strike the first one. */
  readonly changes?: number
  readonly onKill?: (count: number) => void
}

const connections = 6
/** Every so many kills, one strikes the restart, too. */
const startKillEvery = 4
/** From the first moments of a load, when connections are made, to when it has gone on for a while. */
const loadMs = 500
/** A start takes less, so some kills strike a server that has just begun to serve. */
const startMs = 1000
/** For what comes in moments on a machine that is not broken. */
const withinMs = 20_000

/**
 * Kills a running server so many times at random moments under a load of several connections, restarts it, and compares what is
 * there with what was acknowledged.
 */
export const crashes = async (server: Server, {kills, changes = 0, onKill}: Plan): Promise<Crashes> => {
  const writers = Array.from({length: connections}, (_, id) => new Writer(id))
  const problems: string[] = []
  let [killed, killsAtStart] = [0, 0]
  while (killed < kills) {
    await loadUntilKilled(server, writers, changes)
    killed++
    onKill?.(killed)
    if (killed % startKillEvery === 0 && killed < kills) {
      server.launch()
      await pause(Math.random() * startMs)
      await server.kill()
      killed++
      onKill?.(killed)
      killsAtStart++
    }
    server.launch()
    await server.ready()
    problems.push(...(await judged(server, writers)).map((problem) => `kill ${killed}: ${problem}`))
  }
  return {kills: killed, killsAtStart, acknowledged: acknowledgedBy(writers), problems}
}

const acknowledgedBy = (writers: readonly Writer[]): number =>
  writers.reduce((sum, writer) => sum + writer.acknowledged, 0)

const loadUntilKilled = async (
  server: Server,
  writers: readonly Writer[],
  changes: number,
): Promise<void> => {
  const apis = writers.map(() => new EtcdApi(server.target))
  try {
    const writing = Promise.all(
      writers.map((writer, index) => writer.writeUntilBroken(apis[index] as EtcdApi)),
    )
    // A writer that fails otherwise is not waited for in vain: it rejects below.
    const enough = acknowledgedBy(writers) + changes
    const enoughWritten = until('changes to be acknowledged', () => acknowledgedBy(writers) >= enough, {
      withinMs,
    })
    await Promise.race([writing, enoughWritten.then(() => pause(Math.random() * loadMs))])
    await server.kill()
    await writing
  } finally {
    for (const api of apis) api[Symbol.dispose]()
  }
}

const judged = async ({target}: Server, writers: readonly Writer[]): Promise<string[]> => {
  using api = new EtcdApi(target)
  const newest = writers.reduce((last, {revision}) => (revision > last ? revision : last), 0n)
  const problems: string[] = []
  for (const writer of writers) problems.push(...(await writer.judge(api, newest)))
  return problems
}
