/**
 * npm run faults -- [--tool TOOL] [--engine ENGINE] [--rounds N] [--only NAME]... [--ttl DURATION] [--jobs K] [--verbose]
 *
 * Strikes a holder and a waiter with each fault of a tool's table, N times (1), K rounds side by side (8; local: 4, as their
 * engines start over and over), at a TTL (3s; check: 6s), and prints what was seen. --only takes any part of a fault's name,
 * --verbose tells the story of each round. Ends with 1 when anything is wrong.
 *
 * The tools: run; campaign, with a command; shared, a reader and a writer in turn; slots, one of them; acquire, with a keeper;
 * check, without; local, which is run with an engine of its own that leash starts, and what strikes that. The engines of the
 * others: etcd, of both versions in turn; local, which is one and has no faults of several members.
 */
import {parseArgs} from 'node:util'
import {localTtlMs, possibleLocalFaults} from './localEngineFaults.ts'
import {type Plan, type Row, runFault} from './runFault.ts'
import {runLocalFault} from './runLocalFault.ts'
import {tableFor} from './table.ts'
import {faultsOn, tools} from './tools.ts'

const {values} = parseArgs({
  options: {
    tool: {type: 'string', default: 'run'},
    engine: {type: 'string', default: 'etcd'},
    rounds: {type: 'string', default: '1'},
    only: {type: 'string', multiple: true, default: []},
    ttl: {type: 'string'},
    jobs: {type: 'string'},
    verbose: {type: 'boolean', short: 'v', default: false},
  },
})

const usage = (message: string): never => {
  console.error(`faults: ${message}`)
  process.exit(64)
}

const count = (name: 'rounds' | 'jobs', text: string): number =>
  /^[1-9]\d*$/.test(text) ? Number(text) : usage(`--${name} takes a whole number from 1 on, not ${text}`)

const milliseconds = (text: string): number => {
  const [, amount, unit = 's'] = /^(\d+)(ms|s)?$/.exec(text) ?? usage(`--ttl takes 3s or 3000ms, not ${text}`)
  return Number(amount) * (unit === 's' ? 1000 : 1)
}

/** What a table consists of. */
interface Choice {
  readonly name: string
  readonly strike: (plan: Omit<Plan, 'tool'>) => Promise<Row>
}

const tool = tools.find(({name}) => name === values.tool)
if (!tool && values.tool !== 'local')
  usage(`--tool takes ${tools.map(({name}) => name).join(', ')} or local, not ${values.tool}`)
const engine =
  (['etcd', 'local'] as const).find((name) => name === values.engine) ??
  usage(`--engine takes etcd or local, not ${values.engine}`)
const choices: readonly Choice[] = tool
  ? faultsOn(engine, tool).map((fault) => ({
      name: fault.name,
      strike: (plan) => runFault(fault, {...plan, tool, engine}),
    }))
  : possibleLocalFaults.map((fault) => ({name: fault.name, strike: (plan) => runLocalFault(fault, plan)}))
const isChosen = ({name}: {readonly name: string}): boolean =>
  values.only.length === 0 || values.only.some((part) => name.includes(part))
const chosen = choices.filter(isChosen)
if (chosen.length === 0) {
  const elsewhere = tool?.faults.find(isChosen)
  if (elsewhere) usage(`"${elsewhere.name}" needs three members, and the local engine is one`)
  usage(
    `no fault is called ${values.only.join(' or ')}; there are:\n${choices.map(({name}) => name).join('\n')}`,
  )
}

const [rounds, jobs, ttlMs] = [
  count('rounds', values.rounds),
  count('jobs', values.jobs ?? (tool ? '8' : '4')),
  values.ttl === undefined ? (tool?.ttlMs ?? localTtlMs) : milliseconds(values.ttl),
]
const plan = {rounds, jobs, ttlMs, ...(values.verbose && {onStory: console.error})}
const table = tableFor(chosen.map(({name}) => name))
console.log(table.head)
let failed = false
for (const {strike} of chosen) {
  const row = await strike(plan)
  console.log(table.row(row))
  for (const problem of row.verdict.problems) console.error(problem)
  failed ||= row.verdict.problems.length > 0
}
process.exitCode = failed ? 1 : 0
