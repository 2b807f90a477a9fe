import {once} from 'node:events'
import {createServer} from 'node:http2'
import type {AddressInfo} from 'node:net'
import {afterAll, beforeAll, expect, test} from 'vitest'
import {type LeaseId, leaseHex, leaseIdFrom} from '../../src/lib/core/identifiers.ts'
import {type Enqueue, RenewalFailed} from '../../src/lib/core/ports.ts'
import type {Ticket} from '../../src/lib/core/ticket.ts'
import {EtcdStore} from '../../src/lib/etcd/etcdStore.ts'
import {systemClock} from '../../src/lib/systemClock.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {compact, deleteKey, keysUnder, leases, revoke, status} from '../support/etcdGateway.ts'
import {freePorts} from '../support/scratch.ts'
import {until, within} from '../support/wait.ts'

let etcd: EtcdServer
beforeAll(async () => {
  etcd = await EtcdServer.start()
})
afterAll(async () => {
  await etcd[Symbol.asyncDispose]()
})

const {signal} = new AbortController()
const newLease = (): LeaseId => leaseIdFrom(crypto.getRandomValues(new Uint8Array(8)))

class Store extends EtcdStore implements Disposable {
  constructor(url: string) {
    super([url], systemClock())
  }

  async ticket(queuePrefix: string): Promise<Ticket> {
    const lease = newLease()
    await this.grant(lease, 60, signal)
    const request: Enqueue = {queues: [{queuePrefix}], lease, value: '', onlyIfNobody: false}
    const own = (await this.enqueue(request, signal))[0]?.own
    if (own === undefined) throw new Error('no ticket')
    return own
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

test('a port where nobody listens is asked until the caller gives up, and the endpoint and reason are known', async () => {
  const [port = 0] = await freePorts(1)
  using store = new Store(`http://127.0.0.1:${port}`)
  const control = new AbortController()
  const granting = store.grant(newLease(), 60, control.signal)
  await until('a failure', () => !store.lastFailure.endsWith('no answer'), {withinMs: 5000})
  control.abort('enough')
  await expect(granting).rejects.toBe('enough')
  expect(store.lastFailure).toBe(`http://127.0.0.1:${port}: connect ECONNREFUSED`)
})

test('a server that is no etcd is said at once', async () => {
  const server = createServer()
  server.on('stream', (stream) => {
    stream.respond(
      {':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12'},
      {endStream: true},
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  using store = new Store(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  await expect(store.grant(newLease(), 60, signal)).rejects.toMatchObject({code: 'unavailable'})
  store.close()
  server.close()
})

test('a connection that swallows requests is thrown away, and the next one serves', async () => {
  await using link = await TcpProxy.to(etcd)
  using store = new Store(link.url)
  const ticket = await store.ticket('swallow/')
  link.blackhole('toServer')
  const looking = store.look(ticket, {queuePrefix: 'swallow/'}, signal)
  await until('a failure', () => !store.lastFailure.endsWith('no answer'), {withinMs: 5000})
  await link.heal('reset')
  expect((await looking).own).toEqual(ticket)
  expect(store.lastFailure).toMatch(/no answer in time|connection|ECONN/i)
})

test('a renewal in a black hole fails when its time is over, and the next one succeeds', async () => {
  await using link = await TcpProxy.to(etcd)
  using store = new Store(link.url)
  const ticket = await store.ticket('renewal/')
  link.blackhole('toClient')
  const timing = {attemptMs: 500, hedgeAfterMs: 100}
  await expect(store.renew([ticket], timing, signal)).rejects.toBeInstanceOf(RenewalFailed)
  await link.heal('reset')
  const evidence = await store.renew([ticket], {attemptMs: 5000, hedgeAfterMs: 1000}, signal)
  expect(evidence).toMatchObject({ttlMs: 60_000, createRevisions: [ticket.createRevision]})
})

test('a ticket that is still under way when its lease is revoked is never put', async () => {
  await using link = await TcpProxy.to(etcd)
  using store = new Store(link.url)
  const lease = newLease()
  await store.grant(lease, 60, signal)
  link.blackhole('toServer')
  const control = new AbortController()
  const request: Enqueue = {queues: [{queuePrefix: 'late/'}], lease, value: '', onlyIfNobody: true}
  const enqueueing = store.enqueue(request, control.signal)
  control.abort('given up')
  await expect(enqueueing).rejects.toBe('given up')
  await revoke(etcd.url, leaseHex(lease))
  await link.heal('deliver')
  // The connection is in order again when it answers, so what it held has arrived before.
  await store.ticket('later/')
  expect(await keysUnder(etcd.url, 'late/')).toEqual([])
})

test('a deletion that falls into an outage of the connection is told after it', async () => {
  await using link = await TcpProxy.to(etcd)
  using store = new Store(link.url)
  const ticket = await store.ticket('outage/')
  const deletion = store.deletion(ticket.key, ticket.createRevision, signal)
  link.reset()
  await deleteKey(etcd.url, ticket.key)
  await link.heal()
  expect(await deletion).toBe('deleted')
})

test('a deletion that falls into an outage is not missed if just its revision was compacted meanwhile', async () => {
  // Newer versions of etcd would tell it.
  await using own = await EtcdServer.start({version: '3.4'})
  await using link = await TcpProxy.to(own)
  using store = new Store(link.url)
  const ticket = await store.ticket('compacted/')
  link.reset()
  const deletion = store.deletion(ticket.key, ticket.createRevision, signal)
  await deleteKey(own.url, ticket.key)
  await compact(own.url, (await status(own.url)).revision)
  await link.heal()
  expect(await within('the watch to say something', deletion, {withinMs: 10_000})).toBe('unknown')
})

test('a watch is not lost when another request has the connection thrown away', async () => {
  await using link = await TcpProxy.to(etcd)
  using store = new Store(link.url)
  const ticket = await store.ticket('thrown/')
  const deletion = store.deletion(ticket.key, ticket.createRevision, signal)
  link.blackhole('toClient')
  const timing = {attemptMs: 200, hedgeAfterMs: 100}
  await expect(store.renew([ticket], timing, signal)).rejects.toBeInstanceOf(RenewalFailed)
  await link.heal()
  await deleteKey(etcd.url, ticket.key)
  expect(await deletion).toBe('deleted')
})

test('a watch goes on over a restart of etcd', async () => {
  await using own = await EtcdServer.start({version: '3.4'})
  using store = new Store(own.url)
  const ticket = await store.ticket('restart/')
  const deletion = store.deletion(ticket.key, ticket.createRevision, signal)
  await own.kill()
  await own.restart()
  expect((await store.look(ticket, {queuePrefix: 'restart/'}, signal)).own).toEqual(ticket)
  await deleteKey(own.url, ticket.key)
  expect(await deletion).toBe('deleted')
})

test('a ticket that was dequeued and its lease that was revoked leave nothing', async () => {
  const before = await leases(etcd.url)
  using store = new Store(etcd.url)
  const ticket = await store.ticket('nothing/')
  await store.dequeue([{ticket}], signal)
  await store.revoke(ticket.lease, signal)
  expect(await leases(etcd.url)).toEqual(before)
  expect(await keysUnder(etcd.url, 'nothing/')).toEqual([])
})
