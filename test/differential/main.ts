/**
 * npm run differential -- [--sequences N] [--seed S] [--against engine|etcd]
 *
 * Plays N (2000) random sequences of up to 40 operations against etcd 3.5 and the local engine, or another etcd 3.5; compares every
 * answer but ids of members and times left. Ends with 1 at the first difference, with the smallest sequence that shows it.
 */
import {parseArgs} from 'node:util'
import {EtcdApi} from '../support/EtcdApi.ts'
import {EngineProcess} from '../support/EngineProcess.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {nowMs} from '../support/wait.ts'
import {describeFind, search} from './compare.ts'

const {values} = parseArgs({
  options: {
    sequences: {type: 'string', default: '2000'},
    seed: {type: 'string'},
    against: {type: 'string', default: 'engine'},
  },
})
if (!/^[1-9]\d*$/.test(values.sequences) || !/^-?\d+$/.test(values.seed ?? '0')) {
  console.error('differential: --sequences takes a whole number from 1 on, --seed a whole number')
  process.exit(64)
}
if (!['engine', 'etcd'].includes(values.against)) {
  console.error(`differential: --against takes engine or etcd, not ${values.against}`)
  process.exit(64)
}

await using model = await EtcdServer.start()
await using engine = values.against === 'engine' ? await EngineProcess.start() : undefined
await using twin = values.against === 'etcd' ? await EtcdServer.start() : undefined
using one = new EtcdApi(`127.0.0.1:${model.port}`)
using other = new EtcdApi(engine?.target ?? `127.0.0.1:${twin?.port}`)
const startedAtMs = nowMs()
const {sequences, operations, found, seed} = await search([one, other], {
  sequences: Number(values.sequences),
  ...(values.seed !== undefined && {seed: Number(values.seed)}),
  onSequence: (count) => count % 100 === 0 && console.error(`${count} sequences`),
})
console.log(
  `${sequences} sequences, ${operations} operations in ${((nowMs() - startedAtMs) / 1000).toFixed(0)} s, ` +
    `seed ${seed}; differences: ${found ? 1 : 0}`,
)
if (found) console.error(describeFind(found))
process.exitCode = found ? 1 : 0
