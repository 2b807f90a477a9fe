import {spawn} from 'node:child_process'
import {EtcdServer} from '../test/support/EtcdServer.ts'
import {deleteKey, keysUnder} from '../test/support/etcdGateway.ts'
import {Job} from '../test/support/Job.ts'
import {type FixtureMode, Oracle} from '../test/support/oracle.ts'
import {TcpProxy} from '../test/support/TcpProxy.ts'
import {nowMs, pause, until} from '../test/support/wait.ts'
import {medianMs, memoryOf} from './measure.ts'

/** What `--contain` gets, and the tier that comes of it where a cgroup can be made. */
const tiers = {auto: 'cgroup', group: 'session'} as const
type Contain = keyof typeof tiers

export interface Endings {
  tier: string
  /** 200 descendants: from just before leash can hear that its ticket is gone, and kills, to an empty tree. */
  toldToEmptyMs: number
  /** The same tree without leash: from one KILL to its process group, so what the kernel takes. */
  bareToEmptyMs: number
  /** A job with a daemon that left its session: from `kill -9` of leash to an empty tree. */
  killedToEmptyMs: number
  /** And to the start of the next holder's job, with a TTL of 60 s. */
  killedToNextMs: number
  /** The guard and its timer while the job runs: proportional set sizes, and the resident set of the guard itself. */
  guardPssKb: number
  guardRssKb: number
}

/** Medians of so many rounds, on a machine that is idle otherwise. */
export async function measureEndings(rounds: number): Promise<Endings[]> {
  await using etcd = await EtcdServer.start({version: '3.5'})
  const results: Endings[] = []
  for (const contain of Object.keys(tiers) as Contain[]) {
    const told: number[] = []
    const bare: number[] = []
    const killed: Awaited<ReturnType<typeof killLeash>>[] = []
    for (let round = 0; round < rounds; round++) {
      told.push(await tellOfDeletion(etcd, contain))
      bare.push(await killGroup())
      killed.push(await killLeash(etcd, contain))
    }
    const median = (key: keyof (typeof killed)[number]): number => medianMs(killed.map((one) => one[key]))
    results.push({
      tier: tiers[contain],
      toldToEmptyMs: medianMs(told),
      bareToEmptyMs: medianMs(bare),
      killedToEmptyMs: median('emptyMs'),
      killedToNextMs: median('nextMs'),
      guardPssKb: median('pssKb'),
      guardRssKb: median('rssKb'),
    })
  }
  return results
}

function start(
  name: string,
  oracle: Oracle,
  etcd: {url: string},
  contain: Contain,
  modes: FixtureMode[],
): Job {
  const flags = ['--contain', contain]
  return Job.start({name, oracle, endpoints: [etcd.url], ttl: '60s', modes, flags})
}

async function tellOfDeletion(etcd: EtcdServer, contain: Contain): Promise<number> {
  await using relay = await TcpProxy.to(etcd)
  await using oracle = await Oracle.create()
  await using job = start('holder', oracle, relay, contain, ['many'])
  const {key} = await job.running()
  // The ticket is watched from 100 ms on.
  await pause(300)
  relay.blackhole('toClient')
  await deleteKey(etcd.url, key)
  // What leash is to hear has come to the relay.
  await pause(100)
  const beforeMs = nowMs()
  await relay.heal()
  const emptyAtMs = await job.treeEmpty()
  await job.exited()
  return emptyAtMs - beforeMs
}

async function killGroup(): Promise<number> {
  await using oracle = await Oracle.create()
  const [program = '', ...args] = oracle.command('bare', ['many'])
  const {pid = 0} = spawn(program, args, {detached: true, stdio: 'ignore'})
  const tree = oracle.tree('bare')
  await tree.running()
  await pause(300)
  const beforeMs = nowMs()
  process.kill(-pid, 'SIGKILL')
  return (await tree.empty()) - beforeMs
}

async function killLeash(
  etcd: EtcdServer,
  contain: Contain,
): Promise<{emptyMs: number; nextMs: number; pssKb: number; rssKb: number}> {
  await using oracle = await Oracle.create()
  await using job = start('holder', oracle, etcd, contain, ['ignore-term', 'daemon'])
  await job.running()
  await using next = start('waiter', oracle, etcd, contain, [])
  await until(
    'the next holder to queue',
    async () => (await keysUnder(etcd.url, 'leash/lock/')).length === 2,
    {
      withinMs: 10_000,
    },
  )
  const guards = job.processes().filter(({command}) => command.includes('guard.sh'))
  const memory = guards.map(({pid}) => memoryOf(pid))
  const beforeMs = nowMs()
  job.kill('SIGKILL')
  const emptyAtMs = await job.treeEmpty()
  const {atMs} = await next.running()
  next.tellToExit(0)
  await next.exited()
  return {
    emptyMs: emptyAtMs - beforeMs,
    nextMs: atMs - beforeMs,
    pssKb: memory.reduce((sum, {pssKb}) => sum + pssKb, 0),
    rssKb: Math.max(...memory.map(({rssKb}) => rssKb)),
  }
}
