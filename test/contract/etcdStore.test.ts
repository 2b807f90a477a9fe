import {leaseHex} from '../../src/lib/core/identifiers.ts'
import {EtcdStore} from '../../src/lib/etcd/etcdStore.ts'
import {systemClock} from '../../src/lib/systemClock.ts'
import {EtcdCluster} from '../support/EtcdCluster.ts'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {type Cut, GrpcProxy} from '../support/GrpcProxy.ts'
import {compact, deleteKey, keysUnder, leases, put, status} from '../support/etcdGateway.ts'
import {rpcOf} from './losable.ts'
import {type Harness, storeContract} from './storeContract.ts'

/** A store in front of relays, one for each member, that can lose answers. */
async function etcdHarness(urls: readonly string[], etcd: AsyncDisposable): Promise<Harness> {
  const relays = await Promise.all(urls.map((url) => GrpcProxy.to({url})))
  const [first, ...others] = relays.map(({url}) => url)
  const [beside] = urls
  if (first === undefined || beside === undefined) throw new Error('no members')
  const clock = systemClock()
  const cuts: Cut[] = []
  const store = new EtcdStore([first, ...others], clock)
  return {
    store,
    clock,
    passing: (promise) => promise,
    put: (key, value, lease) => put(beside, key, value, lease === undefined ? '0' : leaseHex(lease)),
    remove: (key) => deleteKey(beside, key),
    keysUnder: async (prefix) =>
      (await keysUnder(beside, prefix)).map(({key, value, createRevision}) => ({
        key,
        value,
        createRevision: BigInt(createRevision),
      })),
    leases: () => leases(beside),
    compact: async () => compact(beside, (await status(beside)).revision),
    // The store asks the member first that answered last.
    loseAnswer: (method) => {
      const lastCallAtMs = (relay: GrpcProxy): number => relay.calls.at(-1)?.atMs ?? 0
      const [asked] = relays.toSorted((one, other) => lastCallAtMs(other) - lastCallAtMs(one))
      if (asked !== undefined) cuts.push(asked.cutAfterCommit({method: rpcOf[method]}))
    },
    [Symbol.asyncDispose]: async () => {
      store.close()
      for (const cut of cuts) await cut.done(0)
      await Promise.all(relays.map((relay) => relay[Symbol.asyncDispose]()))
      await etcd[Symbol.asyncDispose]()
    },
  }
}

const versions: readonly EtcdVersion[] = ['3.4', '3.5']
for (const version of versions) {
  storeContract(`the store on one member of etcd ${version}`, async () => {
    const etcd = await EtcdServer.start({version})
    return etcdHarness([etcd.url], etcd)
  })

  storeContract(`the store on three members of etcd ${version}`, async () => {
    const cluster = await EtcdCluster.start({version})
    return etcdHarness(cluster.urls, cluster)
  })
}
