import {once} from 'node:events'
import {expect, test} from 'vitest'
import {systemClock} from '../../src/lib/systemClock.ts'
import {EtcdApi, type Message} from '../support/EtcdApi.ts'
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
