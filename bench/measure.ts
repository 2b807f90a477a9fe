import {spawnSync} from 'node:child_process'
import {existsSync, readFileSync} from 'node:fs'
import path from 'node:path'

export interface Contender {
  name: string
  version: string
  command: readonly string[]
  environment?: Readonly<Record<string, string>>
}

/**
 * Rounds before the first that counts. leash's code cache is finished after six runs (src/codeCache.ts); the others only
 * have files to read into memory.
 */
const warmUpRounds = 8

/** The time of each run of each contender. The order changes from round to round, so that nobody always follows the same. */
export function measure(contenders: readonly Contender[], rounds: number): (Contender & {ms: number[]})[] {
  const results = contenders.map((contender) => ({...contender, ms: [] as number[]}))
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (let i = 0; i < results.length; i++) {
      const result = results[(i + round + warmUpRounds) % results.length]
      if (!result) continue
      const ms = timeOf(result)
      if (round >= 0) result.ms.push(ms)
    }
  }
  return results
}

function timeOf({name, command: [program = '', ...args], environment}: Contender): number {
  const before = process.hrtime.bigint()
  const {status, error, stderr} = spawnSync(program, args, {
    env: plainEnvironment(environment),
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  })
  const ms = Number(process.hrtime.bigint() - before) / 1e6
  if (status !== 0) throw new Error(`${name} ended with ${error?.message ?? status}: ${stderr}`)
  return ms
}

export function medianMs(ms: readonly number[]): number {
  const sorted = ms.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? NaN
  return sorted.length % 2 ? upper : (upper + (sorted[middle - 1] ?? NaN)) / 2
}

export function onPath(program: string): string | undefined {
  const directories = (process.env['PATH'] ?? '').split(path.delimiter)
  return directories.map((directory) => path.join(directory, program)).find((file) => existsSync(file))
}

/** What a program says about itself, in one line. */
export function versionOf(
  [program = '', ...args]: readonly string[],
  environment?: Contender['environment'],
): string {
  const {stdout} = spawnSync(program, args, {env: plainEnvironment(environment), encoding: 'utf8'})
  return stdout.split('\n')[0]?.trim() || 'unknown version'
}

/** Our environment without what would change how Node starts (extra certificates cost Node 20 30 ms) or how a tool locks. */
export function plainEnvironment(added: Contender['environment'] = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(NODE_|LEASH_|ETCDCTL_|CONSUL_)/.test(name))
  return {...Object.fromEntries(kept), ...added}
}

/** Proportional and resident set sizes of a process. */
export function memoryOf(pid: number): {pssKb: number; rssKb: number} {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const of = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1])
  return {pssKb: of('Pss'), rssKb: of('Rss')}
}
