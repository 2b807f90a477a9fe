import {spawn, spawnSync} from 'node:child_process'
import {once} from 'node:events'
import {readFileSync, rmSync} from 'node:fs'
import {pause} from '../test/support/wait.ts'
import {medianMs, memoryOf, plainEnvironment} from './measure.ts'

/** What a step of a script costs, from exec to exit. */
export interface HandleCost {
  step: string
  medianMs: number
  /** To `run -l NAME -- true`, measured in the same rounds. */
  timesRun: number
}

/** Resident and proportional set sizes. */
interface Memory {
  rssKb: number
  pssKb: number
}

export interface HandleCosts {
  steps: HandleCost[]
  /** Of a keeper that has renewed once, and of a Node that waits. */
  keeper: Memory
  bareNode: Memory
}

/** As for the other commands: leash's code cache is finished after a few runs. */
const warmUpRounds = 8
/** Longer than a keeper takes to settle after its first renewal. */
const settlingMs = 1500

/**
 * What `acquire`, `check`, `renew` and `release` cost, with a keeper and without, beside `run`; and the memory of a keeper.
 *
 * @param leash the built command
 * @param environment by which it finds Node and etcd
 */
export async function measureHandles(
  leash: string,
  environment: Readonly<Record<string, string>>,
  rounds: number,
): Promise<HandleCosts> {
  const all = new Map<string, number[]>()
  let keeper = {rssKb: NaN, pssKb: NaN}
  for (let round = -warmUpRounds; round < rounds; round++) {
    const step = (name: string, ...args: readonly string[]): string => {
      const {stdout, ms} = timed(leash, args, environment)
      if (round >= 0) all.set(name, [...(all.get(name) ?? []), ms])
      return stdout.trim()
    }
    step('run -- true', 'run', '-l', 'bench', '--', 'true')
    for (const [how, ...options] of [
      ['', '--ttl', '60s'],
      [' (kept)', '--keep', String(process.pid)],
    ] as const) {
      const handle = step(`acquire${how}`, 'acquire', 'bench', ...options)
      const isLast = round === rounds - 1 && how !== ''
      if (isLast) keeper = await weighKeeper(handle)
      for (const name of ['check', 'renew', 'release']) step(`${name}${how}`, name, '--handle', handle)
      rmSync(handle)
    }
  }
  const runMs = medianMs(all.get('run -- true') ?? [])
  const steps = [...all].map(([step, ms]) => ({step, medianMs: medianMs(ms), timesRun: medianMs(ms) / runMs}))
  return {steps, keeper, bareNode: await weighBareNode()}
}

function timed(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): {stdout: string; ms: number} {
  const before = process.hrtime.bigint()
  const {status, error, stdout, stderr} = spawnSync(program, args, {
    env: plainEnvironment(environment),
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
  })
  const ms = Number(process.hrtime.bigint() - before) / 1e6
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${error?.message ?? status}: ${stderr}`)
  return {stdout, ms}
}

async function weighKeeper(handle: string): Promise<Memory> {
  const {keeper} = JSON.parse(readFileSync(handle, 'utf8')) as {keeper: {pid: number}}
  await pause(settlingMs)
  return memoryOf(keeper.pid)
}

async function weighBareNode(): Promise<Memory> {
  const node = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)'], {
    env: plainEnvironment(),
    stdio: 'ignore',
  })
  await pause(settlingMs)
  const memory = memoryOf(node.pid ?? 0)
  node.kill()
  await once(node, 'exit')
  return memory
}
