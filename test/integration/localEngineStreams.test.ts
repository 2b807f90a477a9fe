import {type ClientDuplexStream, Client, Metadata, credentials} from '@grpc/grpc-js'
import {once} from 'node:events'
import {type ClientHttp2Session, connect as connectHttp2} from 'node:http2'
import {connect} from 'node:net'
import {expect, test} from 'vitest'
import {Clock} from '../../src/lib/core/clock.ts'
import {systemClock} from '../../src/lib/systemClock.ts'
import {EtcdApi, type Message} from '../support/EtcdApi.ts'
import {FakeClock} from '../support/fakeClock.ts'
import {localEngine} from '../support/localEngine.ts'
import {HeldStorage, MemoryDisk} from '../support/memoryStorage.ts'
import {until} from '../support/wait.ts'

const bound = {withinMs: 10_000}
const key = Buffer.from('a')

test('a keep-alive is answered also when its client has closed its side of the stream', async () => {
  const storage = new HeldStorage()
  await using local = await localEngine(storage, systemClock())
  using api = new EtcdApi(local.url)
  const stream = api.stream('Lease.LeaseKeepAlive')
  const told: unknown[] = []
  stream.on('data', ({TTL}: Message) => told.push(TTL)).on('error', (error) => told.push(error))
  const granting = api.call('Lease.LeaseGrant', {ID: '77', TTL: '60'})
  await until('the grant to be taken', () => storage.taken === 1, bound)
  stream.write({ID: '77'})
  stream.end()
  // What is asked later is answered later: when this one is, the engine has seen the end of the stream.
  await expect(api.call('Maintenance.Alarm', {})).rejects.toThrow('UNIMPLEMENTED')
  storage.release()
  await Promise.all([granting, once(stream, 'end')])
  expect(told).toEqual(['60'])
})

test('a watch goes on when its client has closed its side of the stream, as on etcd', async () => {
  await using local = await localEngine(new MemoryDisk().open(), systemClock())
  using api = new EtcdApi(local.url)
  const stream = api.stream('Watch.Watch')
  let [answers, events] = [0, 0]
  stream
    .on('error', () => {})
    .on('data', (answer: {events: Message[]}) => {
      answers++
      events += answer.events.length
    })
  stream.write({create_request: {key}})
  stream.end()
  await until('the watch to stand', () => answers === 1, bound)
  await expect(api.call('Maintenance.Alarm', {})).rejects.toThrow('UNIMPLEMENTED')
  await api.call('KV.Put', {key})
  await until('the event', () => events === 1, bound)
  stream.cancel()
})

/** A call with requests that are bytes as they are, whatever they mean. */
const rawCall = (client: Client, name: string): ClientDuplexStream<Buffer, Buffer> => {
  const asItIs = (bytes: Buffer): Buffer => bytes
  const call = client.makeBidiStreamRequest(`/etcdserverpb.${name}`, asItIs, asItIs, new Metadata())
  call.on('error', () => {}).resume()
  return call
}

/** The connection of a client with a watch that stands. */
const standingWatch = async (socketPath: string): Promise<ClientHttp2Session> => {
  const session = connectHttp2('http://localhost', {createConnection: () => connect(socketPath)})
  const headers = {':method': 'POST', 'content-type': 'application/grpc', te: 'trailers'}
  const call = session.request({...headers, ':path': '/etcdserverpb.Watch/Watch'})
  call.on('error', () => {})
  // `create_request {key: "a"}`, after no flags and the length.
  call.write(Buffer.from([0, 0, 0, 0, 5, 0x0a, 3, 0x0a, 1, 0x61]))
  await once(call, 'data')
  return session
}

const notMessages: readonly Buffer[] = [
  Buffer.alloc(0),
  // A field that is longer than the message, a varint without an end, a wire type that there is none of.
  Buffer.from([0x0a, 0x7f, 1]),
  Buffer.alloc(20, 0xff),
  Buffer.from([0x0f]),
  // Every number of a field as a varint, and as bytes: enumerations, unions and messages with what does not belong there.
  Buffer.from(Array.from({length: 15}, (_, index) => [(index + 1) << 3, 0x63]).flat()),
  Buffer.from(Array.from({length: 15}, (_, index) => [((index + 1) << 3) | 2, 2, 0x08, 0x63]).flat()),
  Buffer.from(Array.from({length: 15}, (_, index) => [((index + 1) << 3) | 2, 0]).flat()),
  // More than the engine takes.
  Buffer.alloc(5 * 1024 * 1024),
]

const methods = [
  'KV/Range',
  'KV/Put',
  'KV/DeleteRange',
  'KV/Txn',
  'KV/Compact',
  'KV/None',
  'Lease/LeaseGrant',
  'Lease/LeaseRevoke',
  'Lease/LeaseKeepAlive',
  'Lease/LeaseTimeToLive',
  'Watch/Watch',
  'Maintenance/Status',
  'Maintenance/Snapshot',
]

test('whatever clients send, and however they leave, the engine serves the others, and ends when none is left', async () => {
  const time = new FakeClock()
  await using local = await localEngine(new MemoryDisk().open(), new Clock(time), 5000)
  using api = new EtcdApi(local.url)
  const client = new Client(local.url, credentials.createInsecure())
  const calls: ClientDuplexStream<Buffer, Buffer>[] = []
  for (const name of methods) {
    for (const bytes of notMessages) {
      for (const leave of ['ends', 'cancels', 'stays'] as const) {
        const call = rawCall(client, name)
        call.write(bytes)
        if (leave === 'ends') call.end()
        else if (leave === 'cancels') setImmediate(() => call.cancel())
        calls.push(call)
      }
    }
    await api.call('KV.Put', {key})
  }
  const gone = await standingWatch(local.socketPath)
  gone.destroy()
  await api.call('KV.Range', {key})
  for (const call of calls) call.cancel()
  client.close()
  let end: {why: string} | undefined
  void local.engine.ended.then((ended) => (end = ended))
  await until('the engine to end', () => time.advance(20_000).then(() => end), bound)
  expect(end).toEqual({why: 'idle'})
})
