import {existsSync, rmSync} from 'node:fs'
import path from 'node:path'
import {parseArgs} from 'node:util'
import {EtcdServer} from '../test/support/EtcdServer.ts'
import {scratchDirectory} from '../test/support/scratch.ts'
import {ConsulAgent} from './ConsulAgent.ts'
import {medianMs, type Contender, measure, onPath, versionOf} from './measure.ts'

/*
 * What one lock around `true` costs, from exec to exit, beside bare Node and other tools that lock.
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

/** The promise that CI and readers may hold us to. */
const mostTimesNode = 4

const root = path.resolve(import.meta.dirname, '..')
const leash = path.join(root, 'bin/run.cjs')
if (!existsSync(path.join(root, 'dist/leash.cjs')))
  throw new Error('there is no build: run "npm run build" first')

await using etcd = await EtcdServer.start({version: '3.4'})
await using consul = onPath('consul') ? await ConsulAgent.start() : undefined
const etcdPrograms = path.join(root, '.cache/etcd', etcd.version)
const etcdctl = path.join(etcdPrograms, 'etcdctl')
const directory = scratchDirectory('bench')
process.once('exit', () => rmSync(directory, {recursive: true, force: true}))
const lockFile = path.join(directory, 'lock')

const contenders: Contender[] = [
  {name: 'node -e 0', command: [process.execPath, '-e', '0'], version: `node ${process.version}`},
  {
    name: 'leash run -l NAME -- true',
    command: [process.execPath, leash, 'run', '-l', 'bench', '--', 'true'],
    environment: {LEASH_ENDPOINTS: etcd.url},
    version: [
      [process.execPath, leash, '--version'],
      [path.join(etcdPrograms, 'etcd'), '--version'],
    ]
      .map((of) => versionOf(of))
      .join(', '),
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
const ours = rows.find(({name}) => name.startsWith('leash'))?.timesNode ?? NaN

if (values.json) {
  console.log(JSON.stringify({rounds, goal: mostTimesNode, rows}, undefined, 2))
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
    `\nmilliseconds, ${rounds} interleaved rounds; leash takes ${ours.toFixed(2)} times node, at most ${mostTimesNode} is the goal`,
  )
}
