import {randomBytes} from 'node:crypto'
import {spawnSync} from 'node:child_process'
import {acquire} from '../src/lib/core/lock.ts'
import {leaseIdFrom} from '../src/lib/core/identifiers.ts'
import {lockKeys} from '../src/lib/core/lockName.ts'
import {EtcdStore} from '../src/lib/etcd/etcdStore.ts'
import {systemClock} from '../src/lib/systemClock.ts'
import {LocalMachine} from '../test/cli/support/LocalMachine.ts'
import {EtcdApi} from '../test/support/EtcdApi.ts'
import {EtcdServer} from '../test/support/EtcdServer.ts'
import {pause} from '../test/support/wait.ts'
import {medianMs, memoryOf, plainEnvironment} from './measure.ts'

/** What the local engine costs. Times are medians. */
export interface LocalEngineCosts {
  /** `run --local -l NAME -- true` where no engine runs yet, and where one does. */
  first: {coldMs: number; warmMs: number}
  /** One lock and unlock after the other through one connection; etcd is one member, with its data on the same disk. */
  cycle: {engineMs: number; etcdMs: number}
  /** Resident, just started and with as many keys, each put by itself. */
  memory: {idleKb: number; filledKb: number; keys: number}
}

/** As for the other commands: leash's code cache is finished after a few runs. */
const warmUpRounds = 8
const cyclesPerRound = 100
const keys = 10_000
/** Of a ticket, about: who holds a lock. */
const valueBytes = 150
const atOnce = 100
/** Longer than Node takes to settle after it was started. */
const settlingMs = 1500

/** @param leash the built command. @returns undefined where a machine of one's own cannot be had */
export async function measureLocalEngine(
  leash: string,
  rounds: number,
): Promise<LocalEngineCosts | undefined> {
  if (!LocalMachine.isPossible) return undefined
  await using local = new LocalMachine({disk: true})
  const once = (): number =>
    timeOf([...local.machine.through, leash, 'run', '--local', '-l', 'bench', '--', 'true'])
  const first = await measureFirst(local, once, rounds)
  const url = `unix:${await local.socket()}`
  return {first, cycle: await measureCycles(url, rounds), memory: await weigh(local, url, once)}
}

async function measureFirst(
  local: LocalMachine,
  once: () => number,
  rounds: number,
): Promise<LocalEngineCosts['first']> {
  const [cold, warm]: number[][] = [[], []]
  for (let round = -warmUpRounds; round < rounds; round++) {
    await local.killEngine()
    const [coldMs, warmMs] = [once(), once()]
    if (round < 0) continue
    cold?.push(coldMs)
    warm?.push(warmMs)
  }
  return {coldMs: medianMs(cold ?? []), warmMs: medianMs(warm ?? [])}
}

async function measureCycles(engineUrl: string, rounds: number): Promise<LocalEngineCosts['cycle']> {
  await using etcd = await EtcdServer.start({disk: true})
  const clock = systemClock()
  const all = [engineUrl, etcd.url].map((url) => ({store: new EtcdStore([url], clock), ms: [] as number[]}))
  for (let round = -1; round < rounds; round++) {
    for (const {store, ms} of round % 2 === 0 ? all : all.toReversed()) {
      const beforeMs = performance.now()
      for (let cycle = 0; cycle < cyclesPerRound; cycle++) await lockAndUnlock(store)
      if (round >= 0) ms.push((performance.now() - beforeMs) / cyclesPerRound)
    }
  }
  for (const {store} of all) store.close()
  const [engineMs = NaN, etcdMs = NaN] = all.map(({ms}) => medianMs(ms))
  return {engineMs, etcdMs}
}

async function lockAndUnlock(store: EtcdStore): Promise<void> {
  const ports = {
    store,
    clock: systemClock(),
    newLeaseId: () => leaseIdFrom(randomBytes(8)),
    tell: () => {},
    showQueue: false,
  }
  const acquisition = await acquire(
    {
      locks: [lockKeys('leash/', 'bench')],
      ttlMs: 30_000,
      terms: {lockDelayMs: 0},
      wait: {kind: 'none'},
      connectTimeoutMs: 10_000,
      holder: {host: 'bench', pid: process.pid, user: 'bench'},
    },
    ports,
    new AbortController().signal,
  )
  if (acquisition.is !== 'held') throw new Error(`the lock is ${acquisition.is}`)
  const release = await acquisition.lock.release(true)
  if (release !== 'removed') throw new Error(`the ticket is ${release}`)
}

/** A new engine, as it was started by a command. */
async function weigh(
  local: LocalMachine,
  url: string,
  once: () => number,
): Promise<LocalEngineCosts['memory']> {
  await local.killEngine()
  once()
  const weight = async (): Promise<number> => {
    await pause(settlingMs)
    return memoryOf(await local.engine()).rssKb
  }
  const idleKb = await weight()
  using api = new EtcdApi(url)
  for (let from = 0; from < keys; from += atOnce) {
    const puts = Array.from({length: atOnce}, (_, index) =>
      api.call('KV.Put', {key: Buffer.from(`bench/${from + index}`), value: randomBytes(valueBytes)}),
    )
    await Promise.all(puts)
  }
  return {idleKb, filledKb: await weight(), keys}
}

function timeOf([program = '', ...args]: readonly string[]): number {
  const before = process.hrtime.bigint()
  const {status, stderr} = spawnSync(program, args, {
    env: plainEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`leash ended with ${status}: ${stderr}`)
  return Number(process.hrtime.bigint() - before) / 1e6
}
