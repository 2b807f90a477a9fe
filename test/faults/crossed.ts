/**
 * npm run crossed -- [--rounds N]
 *
 * Two loops of `leash run` take the locks a and b, N times each (500); one names them in this order, the other in the reverse.
 * Ends with 1 if they overlap by the kernel's account, if one of them does not get on, or if anything is left.
 */
import {parseArgs} from 'node:util'
import {Belongings} from '../support/Belongings.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {Job} from '../support/Job.ts'
import {keysUnder, leases} from '../support/etcdGateway.ts'
import {Oracle} from '../support/oracle.ts'
import {nowMs} from '../support/wait.ts'

/** One turn of the other takes a fraction of a second: who waits so long will wait for ever. */
const stuckMs = 30_000

const {values} = parseArgs({options: {rounds: {type: 'string', default: '500'}}})
if (!/^[1-9]\d*$/.test(values.rounds)) {
  console.error(`crossed: --rounds takes a whole number from 1 on, not ${values.rounds}`)
  process.exit(64)
}
const rounds = Number(values.rounds)

await using belongings = new Belongings()
const etcd = belongings.add(await EtcdServer.start())
const oracle = belongings.add(await Oracle.create())

/** Holds both for as long as it takes to say so, again and again. Resolves with the longest wait. */
const loop = async (first: string, second: string): Promise<number> => {
  let longestMs = 0
  for (let round = 0; round < rounds; round++) {
    const startedAtMs = nowMs()
    await using job = Job.start({
      ...{oracle, endpoints: [etcd.url], name: `${first}${second} ${round}`, ttl: '10s'},
      ...{lock: first, flags: ['--with-lock', second]},
    })
    const {atMs} = await job.running(stuckMs)
    longestMs = Math.max(longestMs, atMs - startedAtMs)
    job.tellToExit(0)
    const {status} = await job.exited(stuckMs)
    if (status !== 0) throw new Error(`it ended with ${status}\n${job.describe()}`)
  }
  return longestMs
}

const startedAtMs = nowMs()
const longestMs = Math.max(...(await Promise.all([loop('a', 'b'), loop('b', 'a')])))
const left = [...(await keysUnder(etcd.url, '')).map(({key}) => key), ...(await leases(etcd.url))]
const overlaps = oracle.violations().length
console.log(
  `2 x ${rounds} rounds in ${((nowMs() - startedAtMs) / 1000).toFixed(0)} s, the longest from start to job ${longestMs.toFixed(0)} ms; ` +
    `overlaps: ${overlaps}; left: ${left.join(', ') || 'nothing'}`,
)
process.exitCode = overlaps > 0 || left.length > 0 ? 1 : 0
