import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {keysUnder, leases} from '../support/etcdGateway.ts'
import {GrpcProxy} from '../support/GrpcProxy.ts'
import {Leash, leash} from './support/leash.ts'
import {nothingLeft} from './support/nothingLeft.ts'

const cycles = 50

let etcd: EtcdServer
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
})
afterAll(() => etcd[Symbol.asyncDispose]())

/** The requests that etcd itself has counted, by method. */
const countedByEtcd = async (): Promise<Map<string, number>> => {
  const metrics = await (await fetch(`${etcd.url}/metrics`)).text()
  const lines = metrics.matchAll(/^grpc_server_started_total\{grpc_method="(\w+)".*\} (\S+)$/gm)
  return new Map([...lines].map(([, method = '', count]) => [method, Number(count)]))
}

describe('an uncontended lock and unlock', () => {
  test('is a grant, two transactions and a revoke, in that order', async () => {
    await using proxy = await GrpcProxy.to(etcd)
    expect((await leash(['run', '-l', 'x', '--endpoints', proxy.url, 'true'])).status).toBe(0)
    expect(proxy.methods).toEqual(['LeaseGrant', 'Txn', 'Txn', 'LeaseRevoke'])
    await nothingLeft(etcd)
  })

  test('is so with --no-wait and with a raw key', async () => {
    await using proxy = await GrpcProxy.to(etcd)
    await leash(['run', '-n', '--raw-key', '-l', 'x', '--endpoints', proxy.url, 'true'])
    expect(proxy.methods).toEqual(['LeaseGrant', 'Txn', 'Txn', 'LeaseRevoke'])
    await nothingLeft(etcd)
  })

  test(`leaves nothing after ${cycles} cycles, and by etcd's own count each is four requests`, async () => {
    const before = await countedByEtcd()
    for (let i = 0; i < cycles; i++) {
      const {status, stderr} = await leash(['run', '-l', 'x', 'true'], {env: {LEASH_ENDPOINTS: etcd.url}})
      expect({status, stderr}).toEqual({status: 0, stderr: ''})
    }
    const after = await countedByEtcd()
    const made = [...after].map(([method, count]) => [method, count - (before.get(method) ?? 0)] as const)
    expect(Object.fromEntries(made.filter(([, count]) => count > 0))).toEqual({
      LeaseGrant: cycles,
      Txn: 2 * cycles,
      LeaseRevoke: cycles,
    })
    await nothingLeft(etcd)
  })
})

test('a contended --no-wait puts no ticket, and leaves no lease', async () => {
  await using holder = new Leash(['run', '-l', 'x', '--', 'sh', '-c', 'echo runs; read line'], {
    env: {LEASH_ENDPOINTS: etcd.url},
  })
  await holder.says(/runs/)
  const before = {keys: await keysUnder(etcd.url, ''), leases: await leases(etcd.url)}
  await using proxy = await GrpcProxy.to(etcd)
  expect((await leash(['run', '-n', '-l', 'x', '--endpoints', proxy.url, 'true'])).status).toBe(75)
  expect(proxy.methods).toEqual(['LeaseGrant', 'Txn', 'LeaseRevoke'])
  expect({keys: await keysUnder(etcd.url, ''), leases: await leases(etcd.url)}).toEqual(before)
  holder.endInput()
  await holder.end()
  await nothingLeft(etcd)
})
