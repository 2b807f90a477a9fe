/**
 * npm run endure -- [--seconds N] [--life N] [--locks K] [--ttl DURATION] [--version V]... [--tokens KIND]...
 *
 * Holds K locks (1), each with a waiter behind it, for N seconds (60) at three members whose tokens live for N seconds (5),
 * and kills and restarts one member after the other all the while: for each version of etcd (3.4 and 3.5) and each kind of
 * token (simple and jwt; none is without users, to compare). Prints how often members were restarted and tokens fetched,
 * and what was lost. Ends with 1 if anything was. Each token costs etcd 70 ms of a processor: many locks on a busy machine
 * measure that.
 */
import {parseArgs} from 'node:util'
import {Leash} from '../cli/support/leash.ts'
import {Belongings} from '../support/Belongings.ts'
import {EtcdCluster} from '../support/EtcdCluster.ts'
import type {EtcdVersion} from '../support/EtcdServer.ts'
import {credentials, enableUsers, Tokens, type TokenKind} from '../support/etcdUsers.ts'
import {GrpcProxy} from '../support/GrpcProxy.ts'
import {nowMs, pause} from '../support/wait.ts'

const {values} = parseArgs({
  options: {
    seconds: {type: 'string', default: '60'},
    life: {type: 'string', default: '5'},
    locks: {type: 'string', default: '1'},
    ttl: {type: 'string', default: '10s'},
    version: {type: 'string', multiple: true, default: ['3.4', '3.5']},
    tokens: {type: 'string', multiple: true, default: ['simple', 'jwt']},
  },
})
const [seconds, lifeS, locks] = [values.seconds, values.life, values.locks].map(Number) as [
  number,
  number,
  number,
]

/** Between two restarts: the members are complete again, and some renewals go by. */
const restPauseMs = 3000

interface Endured {
  restarts: number
  tokens: number
  renewals: number
  /** Holders whose job was ended, and waiters who lost their place. */
  losses: string[]
  /** What leash has said of renewals that failed for a while, an election for one. */
  warnings: string[]
}

async function endure(version: EtcdVersion, kind: TokenKind | 'none'): Promise<Endured> {
  await using belongings = new Belongings()
  const tokens = new Tokens(kind === 'none' ? 'simple' : kind, lifeS)
  try {
    const cluster = belongings.add(await EtcdCluster.start({version, flags: tokens.flags}))
    if (kind !== 'none')
      await enableUsers(cluster.urls[0] ?? '', [{type: 'READWRITE', key: 'leash/', prefix: true}])
    const proxies: GrpcProxy[] = []
    for (const member of cluster.members) proxies.push(belongings.add(await GrpcProxy.to(member)))
    const start = (lock: string): Leash =>
      belongings.add(
        new Leash(['run', '-l', lock, '--ttl', values.ttl, '--', 'sh', '-c', 'echo runs; read line'], {
          env: {...(kind !== 'none' && credentials), LEASH_ENDPOINTS: proxies.map(({url}) => url).join(',')},
        }),
      )
    const names = Array.from({length: locks}, (_, index) => `lock-${index}`)
    const holders = names.map(start)
    for (const holder of holders) await holder.says(/runs/)
    const waiters = names.map(start)
    const endsAtMs = nowMs() + seconds * 1000
    let restarts = 0
    while (nowMs() < endsAtMs) {
      const member = cluster.members[restarts++ % cluster.members.length]
      await member?.kill()
      await member?.restart()
      await cluster.leader()
      await pause(restPauseMs)
    }
    const losses: string[] = []
    for (const [what, runs] of Object.entries({holder: holders, waiter: waiters})) {
      for (const run of runs) {
        // Each waiter runs when its holder has ended.
        if (!run.hasEnded) await run.says(/runs/).catch(() => {})
        run.endInput()
        // `read` has met the end of its input.
        const {status} = await run.end()
        if (status !== 1) losses.push(`${what} ended with ${status}: ${run.stderr}`)
        else if (/queued again/.test(run.stderr)) losses.push(`${what} had to queue again: ${run.stderr}`)
      }
    }
    const made = (method: string): number =>
      proxies.flatMap(({methods}) => methods).filter((one) => one === method).length
    const said = [...holders, ...waiters].map(({stderr}) => stderr).join('')
    return {
      restarts,
      losses,
      tokens: made('Authenticate'),
      renewals: made('LeaseKeepAlive'),
      warnings: said.split('\n').filter((line) => line.includes('renewals fail')),
    }
  } finally {
    tokens[Symbol.dispose]()
  }
}

let failed = false
console.log(`${2 * locks} leashes, TTL ${values.ttl}, ${seconds} s, tokens of ${lifeS} s`)
for (const version of values.version as EtcdVersion[]) {
  for (const kind of values.tokens as (TokenKind | 'none')[]) {
    const {restarts, tokens, renewals, losses, warnings} = await endure(version, kind)
    console.log(
      `etcd ${version}, ${kind} tokens: ${restarts} restarts, ${tokens} tokens fetched, ${renewals} renewals, ` +
        `${warnings.length} warnings, ${losses.length} losses`,
    )
    for (const line of [...warnings, ...losses]) console.error(line)
    failed ||= losses.length > 0
  }
}
process.exitCode = failed ? 1 : 0
