/**
 * Readers and writers of one lock, and holders of the slots of another one: many that come, hold for a moment, and end in every
 * way there is.
 */
import {leash} from '../cli/support/leash.ts'
import {Belongings} from '../support/Belongings.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {Job} from '../support/Job.ts'
import {type FixtureMode, type Note, Oracle} from '../support/oracle.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {nowMs, pause} from '../support/wait.ts'
import {leftAt} from './leftovers.ts'

type Kind = 'reader' | 'writer' | 'slot'

interface Part {
  readonly lock: 'index' | 'pool'
  /** How many of them come again and again, side by side. */
  readonly loops: number
  readonly flags: readonly string[]
  readonly modes: readonly FixtureMode[]
  /** How long one holds that ends by itself, at most. */
  readonly longestHoldMs: number
}

const slots = 3

/** Readers hold for longer than they take to start, so that there is always one; more want a slot than there are. */
const parts: Readonly<Record<Kind, Part>> = {
  reader: {lock: 'index', loops: 3, flags: ['--shared'], modes: ['shared'], longestHoldMs: 800},
  writer: {lock: 'index', loops: 2, flags: [], modes: [], longestHoldMs: 100},
  slot: {
    ...{lock: 'pool', loops: slots + 2, longestHoldMs: 400},
    ...{flags: ['--slots', String(slots)], modes: [`slots=${slots}`]},
  },
}
const kinds = Object.keys(parts) as Kind[]

/** The smallest: what ends uncleanly keeps others waiting for as long. A loss for want of CPU is an end like others. */
const ttlMs = 2000
/** So much longer than several of those in front take to be ended and expire, that who waits so long waits for ever. */
const stuckMs = 60_000

export interface Crowd {
  /** How many got in. */
  readonly held: Record<Kind, number>
  /** How many of them held at the same moment, at most. */
  readonly mostAtOnce: Record<Kind, number>
  /** How often each end came about. */
  readonly ends: Record<string, number>
  /** One paragraph each: who started beside whom it must not, and for how long. */
  readonly violations: readonly string[]
  /** Who came after a writer and got in before it. */
  readonly overtakers: readonly string[]
  readonly longestWriterWaitMs: number
  /** Keys and leases. */
  readonly left: readonly string[]
  /** What did not go on. */
  readonly stuck: readonly string[]
}

/** One that holds, and its way to etcd. */
interface Holder {
  readonly job: Job
  readonly link: TcpProxy
  /** Of its kind. */
  readonly longestHoldMs: number
}

/** What becomes of a holder. */
interface Fate {
  readonly name: string
  readonly strike: (holder: Holder) => void | Promise<unknown>
}

/** By the guard: nobody else can. */
const endedByGuard = ({job}: Holder): Promise<number> => job.treeEmpty(ttlMs + stuckMs)

/** It may have ended meanwhile, with another one that was killed, or by a loss. */
const send = (signal: NodeJS.Signals, pid: number): void => {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

const endsByItself: Fate = {
  name: 'ended by themselves',
  strike: ({job, longestHoldMs}: Holder): void =>
    job.tellToExit(0, Math.floor(Math.random() * longestHoldMs)),
}

/** The ends that are not clean. */
const strikes: readonly Fate[] = [
  {name: 'leash killed', strike: ({job}) => send('SIGKILL', job.pid)},
  {
    name: 'frozen past the TTL',
    strike: async (holder) => {
      send('SIGSTOP', holder.job.pid)
      await endedByGuard(holder)
      await pause(ttlMs)
      send('SIGCONT', holder.job.pid)
    },
  },
  {
    name: 'killed with guard and job',
    strike: ({job}) => {
      for (const {pid} of job.processes()) send('SIGKILL', pid)
    },
  },
  {
    name: 'black-holed',
    strike: (holder) => {
      holder.link.blackhole()
      return endedByGuard(holder)
    },
  },
]
/** What becomes of the holders of a loop, in this order, again and again; each loop begins elsewhere. */
const fates = strikes.flatMap((strike) => [endsByItself, endsByItself, strike, endsByItself])
const fateOf = (loop: number, round: number): Fate => fates[(3 * loop + round) % fates.length] ?? endsByItself

/** Each so many-th of a loop is killed while it waits, or starts, or has just got in. */
const killedEarlyEvery = 11
const longestEarlyMs = 600

/** Lets them come for so long, waits until all have ended, and says what was seen. */
export const crowd = async (seconds: number): Promise<Crowd> => {
  await using belongings = new Belongings()
  const etcd = belongings.add(await EtcdServer.start())
  const oracles = {index: belongings.add(await Oracle.create()), pool: belongings.add(await Oracle.create())}
  const endsAtMs = nowMs() + seconds * 1000
  const ends: Record<string, number> = {}
  const stuck: string[] = []
  let longestWriterWaitMs = 0

  const turn = async (kind: Kind, loop: number, round: number, link: TcpProxy): Promise<void> => {
    const {lock, flags, modes, longestHoldMs} = parts[kind]
    const startedAtMs = nowMs()
    await using job = Job.start({
      ...{oracle: oracles[lock], endpoints: [link.url], name: `${kind} ${loop}.${round}`},
      ...{lock, ttl: `${ttlMs}ms`, flags, modes},
    })
    const end = async (name: string): Promise<void> => {
      await job.exited(stuckMs)
      if (job.hasStarted) await job.treeEmpty(stuckMs)
      ends[name] = (ends[name] ?? 0) + 1
    }
    if ((round + loop) % killedEarlyEvery === killedEarlyEvery - 1) {
      await pause(Math.random() * longestEarlyMs)
      send('SIGKILL', job.pid)
      return end('killed early')
    }
    const {atMs} = await job.running(stuckMs)
    if (kind === 'writer') longestWriterWaitMs = Math.max(longestWriterWaitMs, atMs - startedAtMs)
    const {name, strike} = fateOf(loop, round)
    await strike({job, link, longestHoldMs})
    await end(name)
    await link.heal('reset')
  }

  const comeAgain = async (kind: Kind, loop: number): Promise<void> => {
    try {
      await using link = await TcpProxy.to(etcd)
      for (let round = 0; nowMs() < endsAtMs && stuck.length === 0; round++)
        await turn(kind, loop, round, link)
    } catch (error) {
      stuck.push(String(error))
    }
  }

  await Promise.all(
    kinds.flatMap((kind) => Array.from({length: parts[kind].loops}, (_, loop) => comeAgain(kind, loop))),
  )
  // Who vanished without a guard has left a mark, which the next one takes away.
  for (const lock of ['index', 'pool']) {
    const {status, stderr} = await leash(['run', '-l', lock, '--ttl', `${ttlMs}ms`, '--', 'true'], {
      env: {LEASH_ENDPOINTS: etcd.url},
    })
    if (status !== 0) stuck.push(`the last one ended with ${status}: ${stderr}`)
  }
  const left = await leftAt(etcd, 2 * ttlMs)
  const all = Object.values(oracles)
  return {
    ...{ends, longestWriterWaitMs, left, stuck},
    held: ofEachKind((kind) => all.flatMap((oracle) => starts(oracle, kind)).length),
    mostAtOnce: ofEachKind((kind) => Math.max(...all.map((oracle) => mostAtOnce(oracle, kind)))),
    violations: all.flatMap(describeViolations),
    overtakers: overtakers(oracles.index),
  }
}

const ofEachKind = (count: (kind: Kind) => number): Record<Kind, number> => ({
  reader: count('reader'),
  writer: count('writer'),
  slot: count('slot'),
})

const starts = (oracle: Oracle, kind?: Kind): Note[] =>
  oracle
    .notes()
    .filter(({event, name}) => event === 'running' && (kind === undefined || name.startsWith(kind)))

const mostAtOnce = (oracle: Oracle, kind: Kind): number => {
  const holds = starts(oracle, kind).map(({name, atMs}) => ({
    fromMs: atMs,
    toMs: oracle.tree(name).emptyAtMs ?? Infinity,
  }))
  const at = (ms: number): number => holds.filter(({fromMs, toMs}) => fromMs <= ms && ms < toMs).length
  return Math.max(0, ...holds.map(({fromMs}) => at(fromMs)))
}

const describeViolations = (oracle: Oracle): string[] => {
  const notes = oracle.notes()
  return oracle.violations().map(({name, atMs}) => {
    const end = notes.find((note) => note.name === name && note.event === 'overlap-ended')
    return `${name}: ${end ? `${(end.atMs - atMs).toFixed(1)} ms` : 'unknown length'}`
  })
}

/** By the fencing token, which is the place in the queue. */
const overtakers = (oracle: Oracle): string[] => {
  const seen = starts(oracle).map(({name, atMs, rest: [, fence = '0']}) => ({
    name,
    atMs,
    fence: BigInt(fence),
  }))
  return seen
    .filter(({name}) => name.startsWith('writer'))
    .flatMap((writer) =>
      seen
        .filter(({fence, atMs}) => fence > writer.fence && atMs < writer.atMs)
        .map(({name}) => `${name} before ${writer.name}`),
    )
}
