import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {keysUnder} from '../test/support/etcdGateway.ts'
import {nowMs, pause, until} from '../test/support/wait.ts'
import {medianMs, plainEnvironment} from './measure.ts'

/** Medians: from the signal to a leader until the next candidate has said that it leads. */
export interface HandOver {
  leashMs: number
  etcdctlMs: number
  /** leash to etcdctl. */
  ratio: number
}

/** A program that campaigns, says a line when it leads, and resigns at a signal. */
interface Campaigner {
  command: readonly string[]
  environment: Readonly<Record<string, string>>
  /** Of its tickets. */
  queuePrefix: string
  resignsAt: NodeJS.Signals
}

/** As for the other commands: leash's code cache is finished after a few runs. */
const warmUpRounds = 8
/** Longer than the one that has put its ticket takes to have its watch. */
const settlingMs = 300

/**
 * How soon after a clean resignation the next candidate leads, in turn with `etcdctl elect`.
 *
 * @param leash the built command
 * @param etcdctl the program
 * @param environment by which leash finds Node and etcd
 */
export async function measureHandOver(
  leash: string,
  etcdctl: string,
  environment: Readonly<Record<string, string>>,
  url: string,
  rounds: number,
): Promise<HandOver> {
  const ours: Campaigner = {
    command: [leash, 'campaign', 'bench'],
    environment,
    queuePrefix: 'leash/election/bench/',
    resignsAt: 'SIGTERM',
  }
  const theirs: Campaigner = {
    command: [etcdctl, 'elect', 'bench-etcdctl', 'me'],
    environment: {ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: url},
    queuePrefix: 'bench-etcdctl/',
    // It resigns at both, and at this one in all versions.
    resignsAt: 'SIGINT',
  }
  const all = [
    {campaigner: ours, ms: [] as number[]},
    {campaigner: theirs, ms: [] as number[]},
  ]
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const {campaigner, ms} of round % 2 === 0 ? all : all.toReversed()) {
      const tookMs = await handOver(campaigner, url)
      if (round >= 0) ms.push(tookMs)
    }
  }
  const [leashMs = NaN, etcdctlMs = NaN] = all.map(({ms}) => medianMs(ms))
  return {leashMs, etcdctlMs, ratio: leashMs / etcdctlMs}
}

async function handOver(campaigner: Campaigner, url: string): Promise<number> {
  const first = start(campaigner)
  await first.leadsAtMs
  const next = start(campaigner)
  await until(
    'the next candidate to queue',
    async () => (await keysUnder(url, campaigner.queuePrefix)).length === 2,
    {withinMs: 10_000},
  )
  await pause(settlingMs)
  const beforeMs = nowMs()
  first.program.kill(campaigner.resignsAt)
  const tookMs = (await next.leadsAtMs) - beforeMs
  await first.ended
  next.program.kill(campaigner.resignsAt)
  await next.ended
  return tookMs
}

function start({command: [program = '', ...args], environment}: Campaigner): {
  program: ChildProcess
  leadsAtMs: Promise<number>
  ended: Promise<unknown>
} {
  const child = spawn(program, args, {
    env: plainEnvironment(environment),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const leadsAtMs = new Promise<number>((resolve, reject) => {
    child.stdout.once('data', () => resolve(nowMs()))
    void ended.then(() => reject(new Error(`${program} ended before it led`)))
  })
  return {program: child, leadsAtMs, ended}
}
