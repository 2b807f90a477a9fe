import {existsSync, rmSync} from 'node:fs'
import path from 'node:path'
import {parseArgs} from 'node:util'
import {EtcdServer} from '../test/support/EtcdServer.ts'
import {scratchDirectory} from '../test/support/scratch.ts'
import {buildBareLeash} from './bareLeash.ts'
import {ConsulAgent} from './ConsulAgent.ts'
import {measureEndings} from './endings.ts'
import {measureHandles} from './handles.ts'
import {measureHandOver} from './handOver.ts'
import {measureLocalEngine} from './localEngine.ts'
import {medianMs, type Contender, measure, onPath, versionOf} from './measure.ts'

/*
 * What one lock around `true` costs, from exec to exit, beside bare Node and other tools that lock; what the commands for a
 * script cost beside that; how soon the next candidate leads when a leader resigns; and how soon a tree is empty, and the next
 * holder starts, when the lock or leash itself is gone; and what the local engine costs.
 *
 *   npm run bench -- [--rounds N] [--json]
 *
 * Everything is measured in turn, round by round, so that a busy machine disturbs all alike. Servers are on loopback, with
 * their data in memory where the machine has a place for it.
 */
const {values} = parseArgs({
  options: {rounds: {type: 'string', default: '31'}, json: {type: 'boolean', default: false}},
})
const rounds = Number(values.rounds)
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`--rounds takes a number from 1 on, not ${values.rounds}`)

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

/** The promise that CI and readers may hold us to. */
const mostTimesNode = 4

const root = path.resolve(import.meta.dirname, '..')
const leash = path.join(root, 'bin/leash.cjs')
const bareLeash = await buildBareLeash(root)
if (!existsSync(path.join(root, 'dist/leash.cjs')))
  throw new Error('there is no build: run "npm run build" first')

await using etcd = await EtcdServer.start({version: '3.4'})
await using consul = onPath('consul') ? await ConsulAgent.start() : undefined
const etcdPrograms = path.join(root, '.cache/etcd', etcd.version)
const etcdctl = path.join(etcdPrograms, 'etcdctl')
const directory = scratchDirectory('bench')
process.once('exit', () => rmSync(directory, {recursive: true, force: true}))
const lockFile = path.join(directory, 'lock')

/** The launcher finds node by PATH. */
const environment = {
  LEASH_ENDPOINTS: etcd.url,
  PATH: `${path.dirname(process.execPath)}:${process.env['PATH']}`,
}

const contenders: Contender[] = [
  {name: 'node -e 0', command: [process.execPath, '-e', '0'], version: `node ${process.version}`},
  {
    name: 'leash run -l NAME -- true',
    command: [leash, 'run', '-l', 'bench', '--', 'true'],
    environment,
    version: [
      [leash, '--version'],
      [path.join(etcdPrograms, 'etcd'), '--version'],
    ]
      .map((of) => versionOf(of, environment))
      .join(', '),
  },
  {
    name: 'the same with --contain group',
    command: [leash, 'run', '-l', 'bench-group', '--contain', 'group', '--', 'true'],
    environment,
    version: 'tier session',
  },
  {
    name: 'the same without guard, stub, containment and launcher',
    command: [process.execPath, bareLeash, 'run', '-l', 'bench-bare', '--', 'true'],
    environment,
    version: 'built for this bench',
  },
  {
    name: 'etcdctl lock NAME -- true',
    command: [etcdctl, 'lock', 'bench-etcdctl', '--', 'true'],
    environment: {ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: etcd.url},
    version: versionOf([etcdctl, 'version'], {ETCDCTL_API: '3'}),
  },
  ...(consul
    ? [
        {
          name: 'consul lock NAME true',
          command: ['consul', 'lock', 'bench', 'true'],
          environment: {CONSUL_HTTP_ADDR: consul.address},
          version: versionOf(['consul', 'version']),
        },
      ]
    : []),
  ...(onPath('flock')
    ? [
        {
          name: 'flock FILE true',
          command: ['flock', lockFile, 'true'],
          version: versionOf(['flock', '--version']),
        },
      ]
    : []),
]

const results = measure(contenders, rounds)
const nodeMs = medianMs(results[0]?.ms ?? [])
const rows = results.map(({name, version, ms}) => {
  const sorted = ms.toSorted((a, b) => a - b)
  return {
    name,
    version,
    medianMs: medianMs(ms),
    fastestMs: sorted[0] ?? NaN,
    timesNode: medianMs(ms) / nodeMs,
  }
})
const [, ours = NaN, ofGroup = NaN, bare = NaN] = rows.map(({timesNode}) => timesNode)
const added = {cgroup: ours / bare - 1, session: ofGroup / bare - 1}

const handles = await measureHandles(leash, environment, rounds)
const handOver = await measureHandOver(leash, etcdctl, environment, etcd.url, rounds)
const local = await measureLocalEngine(leash, Math.max(1, Math.floor(rounds / 3)))
const endings = await measureEndings(Math.max(1, Math.floor(rounds / 3)))

if (values.json) {
  console.log(
    JSON.stringify(
      {rounds, goal: mostTimesNode, added, rows, handles, handOver, local, endings},
      undefined,
      2,
    ),
  )
} else {
  const width = Math.max(...rows.map(({name}) => name.length))
  console.log(`${''.padEnd(width)}   median  fastest   x node`)
  for (const row of rows) {
    const numbers = [row.medianMs.toFixed(1), row.fastestMs.toFixed(1), row.timesNode.toFixed(2)]
    console.log(
      `${row.name.padEnd(width)}${numbers.map((number) => number.padStart(9)).join('')}   ${row.version}`,
    )
  }
  console.log(
    `\nmilliseconds, ${rounds} interleaved rounds; leash takes ${ours.toFixed(2)} times node, at most ${mostTimesNode} is the goal;\n` +
      `guard, stub, containment and launcher add ${percent(added.cgroup)} (best tier) and ${percent(added.session)} (session)\n`,
  )
  for (const {step, medianMs: ms, timesRun} of handles.steps)
    console.log(`${step.padEnd(width)}${ms.toFixed(1).padStart(9)}   ${timesRun.toFixed(2)} x run`)
  const {keeper, bareNode} = handles
  console.log(
    `a keeper: ${keeper.rssKb} kB resident, ${(keeper.rssKb / bareNode.rssKb).toFixed(2)} times bare Node; ` +
      `${keeper.pssKb} kB proportionally, ${(keeper.pssKb / bareNode.pssKb).toFixed(2)} times\n`,
  )
  const {leashMs, etcdctlMs, ratio} = handOver
  console.log(
    `resign to elected: leash campaign ${leashMs.toFixed(1)} ms, etcdctl elect ${etcdctlMs.toFixed(1)} ms, ${ratio.toFixed(2)} times\n`,
  )
  if (local !== undefined) {
    const {first, cycle, memory} = local
    console.log(
      `the local engine: first command ${first.coldMs.toFixed(0)} ms, ${(first.coldMs - first.warmMs).toFixed(0)} ms more than where one runs; ` +
        `lock and unlock ${cycle.engineMs.toFixed(2)} ms, etcd on the same disk ${cycle.etcdMs.toFixed(2)} ms, ${(cycle.etcdMs / cycle.engineMs).toFixed(2)} of its speed; ` +
        `memory idle ${memory.idleKb} kB, with ${memory.keys} keys ${memory.filledKb} kB\n`,
    )
  }
  for (const {tier, toldToEmptyMs, bareToEmptyMs, ...killed} of endings) {
    const {killedToEmptyMs, killedToNextMs, guardPssKb, guardRssKb} = killed
    console.log(
      `${tier.padEnd(8)} kill decided to empty tree of 200: ${toldToEmptyMs.toFixed(1)} ms (without leash ${bareToEmptyMs.toFixed(1)}); leash killed to empty tree: ` +
        `${killedToEmptyMs.toFixed(1)} ms, to the next job: ${killedToNextMs.toFixed(0)} ms; guard and timer: ${guardPssKb} kB ` +
        `proportionally, ${guardRssKb} kB resident at most`,
    )
  }
}
