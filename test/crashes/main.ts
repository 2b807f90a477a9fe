/**
 * npm run crashes -- [--kills N] [--server engine|etcd]
 *
 * Kills the local engine N (200) times with KILL at random moments under a load of puts, deletes, transactions and leases through
 * six connections, some of them while it starts, and compares what is there afterwards with what it acknowledged. Ends with 1 if
 * anything is lost, anything deleted is back, revisions went back, or there is more than one file of a store. With etcd it does
 * the same, but for the file.
 */
import {parseArgs} from 'node:util'
import {EngineProcess} from '../support/EngineProcess.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {nowMs} from '../support/wait.ts'
import {crashes} from './crashes.ts'
import {etcdAsServer} from './etcdAsServer.ts'

const {values} = parseArgs({
  options: {kills: {type: 'string', default: '200'}, server: {type: 'string', default: 'engine'}},
})
if (!/^[1-9]\d*$/.test(values.kills)) {
  console.error(`crashes: --kills takes a whole number from 1 on, not ${values.kills}`)
  process.exit(64)
}
if (!['engine', 'etcd'].includes(values.server)) {
  console.error(`crashes: --server takes engine or etcd, not ${values.server}`)
  process.exit(64)
}

await using engine = values.server === 'engine' ? await EngineProcess.start() : undefined
await using etcd = values.server === 'etcd' ? await EtcdServer.start() : undefined
const server = engine ?? (etcd && etcdAsServer(etcd))
if (server === undefined) throw new Error('there is one of the two')
const startedAtMs = nowMs()
const {kills, killsAtStart, acknowledged, problems} = await crashes(server, {
  kills: Number(values.kills),
  onKill: (count) => count % 20 === 0 && console.error(`${count} kills`),
})
console.log(
  `${kills} kills, ${killsAtStart} of them while it started, in ${((nowMs() - startedAtMs) / 1000).toFixed(0)} s; ` +
    `${acknowledged} acknowledged changes; wrong afterwards: ${problems.length}` +
    (engine ? `; files of the store: ${engine.files.length}` : ''),
)
for (const problem of problems) console.error(problem)
process.exitCode = problems.length === 0 && (engine?.files.length ?? 1) === 1 ? 0 : 1
