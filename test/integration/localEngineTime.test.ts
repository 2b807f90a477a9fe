import {once} from 'node:events'
import {expect, test} from 'vitest'
import {Clock} from '../../src/lib/core/clock.ts'
import {EtcdApi} from '../support/EtcdApi.ts'
import {FakeClock} from '../support/fakeClock.ts'
import {localEngine} from '../support/localEngine.ts'
import {MemoryDisk} from '../support/memoryStorage.ts'
import {until} from '../support/wait.ts'

const bound = {withinMs: 10_000}
const key = Buffer.from('a')

test('a lease whose time is over is over for whoever asks, however late the timer is', async () => {
  const time = new FakeClock()
  await using local = await localEngine(new MemoryDisk().open(), new Clock(time))
  using api = new EtcdApi(local.url)
  await api.call('Lease.LeaseGrant', {ID: '77', TTL: '5'})
  await api.call('KV.Put', {key, lease: '77'})
  time.block(6000)
  expect(await api.call('KV.Range', {key})).toMatchObject({count: '0'})
  const stream = api.stream('Lease.LeaseKeepAlive')
  stream.write({ID: '77'})
  stream.end()
  expect(await once(stream, 'data')).toMatchObject([{TTL: '0'}])
})

test('an engine does not end while a watch stands on it, though there is no lease', async () => {
  const time = new FakeClock()
  await using local = await localEngine(new MemoryDisk().open(), new Clock(time), 5000)
  using api = new EtcdApi(local.url)
  let hasEnded = false
  void local.engine.ended.then(() => (hasEnded = true))
  const stream = api.stream('Watch.Watch')
  stream.on('error', () => {})
  stream.write({create_request: {key}})
  await once(stream, 'data')
  await time.advance(20_000)
  await api.call('KV.Range', {key})
  expect(hasEnded).toBe(false)
  stream.cancel()
  await until('the engine to end', () => time.advance(1000).then(() => hasEnded), bound)
})
