import type {ILeaseLeasesResponse, IRangeResponse} from 'etcd3'
import {leaseHex} from '../../src/lib/core/identifiers.ts'
import {EtcdStore} from '../../src/lib/etcd/etcdStore.ts'
import {Member} from '../../src/lib/etcd/member.ts'
import {prefixRange} from '../../src/lib/etcd/requests.ts'
import {systemClock} from '../../src/lib/systemClock.ts'
import {type Cut, GrpcProxy} from '../support/GrpcProxy.ts'
import {localEngine} from '../support/localEngine.ts'
import {MemoryDisk} from '../support/memoryStorage.ts'
import {rpcOf} from './losable.ts'
import {type Harness, storeContract} from './storeContract.ts'

/** The store that speaks to etcd, before an engine of our own behind a relay that can lose answers. */
async function localHarness(): Promise<Harness> {
  const clock = systemClock()
  const local = await localEngine(new MemoryDisk().open(), clock)
  const relay = await GrpcProxy.to(local, {listensOn: 'like-target'})
  const store = new EtcdStore([relay.url], clock)
  const beside = new Member(local.url)
  const {signal} = new AbortController()
  const call = <Answer>(service: 'KV' | 'Lease', method: string, request: object): Promise<Answer> =>
    beside.unary<Answer>(service, method, request, signal)
  const cuts: Cut[] = []
  return {
    store,
    clock,
    passing: (promise) => promise,
    put: async (key, value, lease) => {
      const request = {key: Buffer.from(key), value: Buffer.from(value), lease: (lease ?? 0n).toString()}
      await call('KV', 'put', request)
    },
    remove: async (key) => {
      await call('KV', 'deleteRange', {key: Buffer.from(key)})
    },
    keysUnder: async (prefix) => {
      const order = {sort_order: 'Ascend', sort_target: 'Create'}
      const {kvs} = await call<IRangeResponse>('KV', 'range', {...prefixRange(prefix), ...order})
      return kvs.map(({key, value, create_revision}) => ({
        key: key.toString(),
        value: value.toString(),
        createRevision: BigInt(create_revision),
      }))
    },
    leases: async () => {
      const {leases} = await call<ILeaseLeasesResponse>('Lease', 'leaseLeases', {})
      return leases.map(({ID}) => leaseHex(BigInt(ID) as never))
    },
    compact: async () => {
      const {header} = await call<IRangeResponse>('KV', 'range', {key: Buffer.from('any')})
      await call('KV', 'compact', {revision: header.revision})
    },
    loseAnswer: (method) => {
      cuts.push(relay.cutAfterCommit({method: rpcOf[method]}))
    },
    [Symbol.asyncDispose]: async () => {
      store.close()
      beside.close()
      for (const cut of cuts) await cut.done(0)
      await relay[Symbol.asyncDispose]()
      await local[Symbol.asyncDispose]()
    },
  }
}

storeContract('the store on the local engine', localHarness)
