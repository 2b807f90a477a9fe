/** What strikes `leash run --local` and the engine that it has started. */
import {LocalMachine} from '../cli/support/LocalMachine.ts'
import {canContainByCgroup, removeCgroups} from '../support/cgroups.ts'
import {RpcError} from '../support/EtcdApi.ts'
import {isAlive} from '../support/processes.ts'
import {nowMs, pause, until} from '../support/wait.ts'
import type {Fault} from './Fault.ts'
import {mustBe} from './judge.ts'
import type {LocalRound} from './localRound.ts'
import {goldenRatio} from './startFaults.ts'

/** A row of this table: of the fields that it shares with a `Fault` each means the same. */
export interface LocalFault extends Pick<Fault, 'name' | 'ttlMs' | 'variants'> {
  readonly holder: 'kept' | 'lost' | 'killed'
  /** With `lost`: one engine or the other may answer a renewal before it is killed. */
  readonly isRenewedMeanwhile?: true
  /** False where this machine has not what it takes. */
  readonly isPossible?: boolean
  /** Before the holder is started. */
  readonly prepare?: (round: LocalRound) => Promise<unknown>
  readonly strike: (round: LocalRound) => Promise<unknown>
}

/** Once a holder that is lost has ended, what the fault took is given back. */
const untilEnded = async (round: LocalRound): Promise<void> => {
  await round.holder.treeEmpty(round.ttlMs + 3000).catch(() => undefined)
}

const aTtl = ({ttlMs}: LocalRound): Promise<void> => pause(ttlMs)

const codeOf = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    () => 'OK',
    (error: unknown) => (error instanceof RpcError ? error.code : String(error)),
  )

/** The TTL at which it is struck if nobody chooses another. */
export const localTtlMs = 3000

/** From the start of the holder until the waiter stands in the queue, on a machine with little to do. */
const startMs = 1000

/** So long each engine is killed as soon as it is there: shorter than what a lease of 9 s has left before TERM, and longer than some starts. */
const killingMs = 2500

export const localEngineFaults: readonly LocalFault[] = [
  {
    name: 'engine killed',
    holder: 'kept',
    variants: 2,
    // The holder is the one who misses it; in odd rounds at its end.
    strike: async (round) => {
      const killed = await round.machine.engine()
      await round.killEngine()
      if (round.index % 2 === 1) return
      await round.another(killed)
      await aTtl(round)
    },
  },
  {
    name: 'engine killed at any moment of the start',
    holder: 'kept',
    variants: 4,
    prepare: async (round) => {
      await round.useLock('another')
      round.killEngineIn(((round.index * goldenRatio) % 1) * startMs)
    },
    strike: aTtl,
  },
  {
    name: 'engines killed as they come',
    holder: 'kept',
    ttlMs: 9000,
    strike: async (round) => {
      const endsAtMs = nowMs() + killingMs
      const killed = await round.killEngines(() => nowMs() > endsAtMs)
      if (killed < 2) throw new Error(`only ${killed} engines came`)
      await aTtl(round)
    },
  },
  {
    name: 'engines killed as they come, for longer than the TTL',
    holder: 'lost',
    isRenewedMeanwhile: true,
    strike: (round) => round.killEngines(() => round.holder.emptyAtMs !== undefined),
  },
  {
    name: 'engine frozen for a quarter of the TTL',
    holder: 'kept',
    strike: async (round) => {
      const thaw = await round.freezeEngine()
      await pause(round.ttlMs / 4)
      thaw()
      await aTtl(round)
    },
  },
  {
    name: 'engine frozen, thawed after the TTL',
    holder: 'lost',
    strike: async (round) => {
      const thaw = await round.freezeEngine()
      await aTtl(round)
      await untilEnded(round)
      thaw()
    },
  },
  {
    name: 'engine superseded by leash serve, and back',
    holder: 'kept',
    variants: 2,
    strike: async (round) => {
      const first = await round.machine.engine()
      const serving = await round.serve()
      await until('the engine to end', () => !isAlive(first), {withinMs: 5000})
      await pause(round.ttlMs / 2)
      serving.kill(round.index % 2 === 0 ? 'SIGTERM' : 'SIGKILL')
      await round.another(serving.pid)
      await aTtl(round)
    },
  },
  {
    name: 'engine frozen and superseded, and thawed again',
    holder: 'kept',
    // A renewal that the frozen one does not answer is given up before the next one looks elsewhere.
    ttlMs: 9000,
    variants: 2,
    // Asked while it was frozen, it comes to the answer when it is superseded; in odd rounds when the other one has ended as well.
    strike: async (round) => {
      const first = await round.machine.engine()
      using asking = await round.connect()
      const thaw = await round.freezeEngine()
      const answers = [
        asking.call('KV.Put', {key: Buffer.from('stray')}),
        asking.call('KV.Range', {key: Buffer.from('stray')}),
        asking.call('Lease.LeaseGrant', {TTL: 600}),
      ].map(codeOf)
      const serving = await round.serve()
      await pause(round.ttlMs / 4)
      if (round.index % 2 === 1) await serving.killHard()
      thaw()
      mustBe('what it answered', (await Promise.all(answers)).join(), 'UNAVAILABLE,UNAVAILABLE,UNAVAILABLE')
      await until('the engine to end', () => !isAlive(first), {withinMs: 5000})
      await aTtl(round)
    },
  },
  {
    name: 'engine killed, and no room for another',
    holder: 'lost',
    prepare: async (round) => {
      await round.useLock('another')
      round.takeRoom()
    },
    strike: async (round) => {
      await round.killEngine()
      await untilEnded(round)
      await round.useLock('another')
    },
  },
  {
    name: 'engine killed, and no directory for another',
    holder: 'lost',
    strike: async (round) => {
      const putBack = await round.replaceDirectory()
      await round.killEngine()
      await untilEnded(round)
      putBack()
    },
  },
  {
    name: 'unit of engine and holder killed',
    holder: 'killed',
    isPossible: canContainByCgroup(),
    strike: async (round) => {
      const {holder} = round
      round.killHolder(() => holder.killUnit())
      await holder.treeEmpty()
      // Which goes with the unit.
      removeCgroups(holder.cgroups())
    },
  },
  {
    name: 'unit of the engine killed, the holder is in another',
    holder: 'kept',
    isPossible: canContainByCgroup(),
    prepare: async (round) => {
      const through = round.unit.command([])
      const first = round.add(await round.machine.holder('of the unit', ['--ttl', '3s'], {through}))
      const engine = await round.machine.engine()
      if (!round.unit.pids().includes(engine)) throw new Error(`the engine is elsewhere\n${first.describe()}`)
    },
    strike: async (round) => {
      const killed = await round.machine.engine()
      round.unit.kill()
      await round.another(killed)
      await aTtl(round)
      // Who vanished without a guard has left a mark, which the next one takes away.
      await round.useLock('of the unit')
    },
  },
  {
    name: 'engine killed, and leash',
    holder: 'killed',
    variants: 2,
    strike: async (round) => {
      if (round.index % 2 === 1) round.killHolder()
      await round.killEngine()
      if (round.index % 2 === 0) round.killHolder()
    },
  },
  {
    name: 'directory removed',
    holder: 'lost',
    strike: (round) => round.removeDirectory(),
  },
]

/** Those that this machine has what it takes for. */
export const possibleLocalFaults = localEngineFaults.filter(
  ({isPossible = true}) => LocalMachine.isPossible && isPossible,
)
