import {afterAll, beforeAll, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {keysUnder} from '../support/etcdGateway.ts'
import {until} from '../support/wait.ts'
import {Leash} from './support/leash.ts'

let etcd: EtcdServer
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
})
afterAll(() => etcd[Symbol.asyncDispose]())

test('what a waiter that became the holder says of itself is since when it holds', async () => {
  const env = {LEASH_ENDPOINTS: etcd.url}
  const job = ['--', 'sh', '-c', 'echo runs; read line; exit 0']
  await using first = new Leash(['run', '-l', 'since', ...job], {env})
  await first.says(/runs/)
  await using second = new Leash(['run', '-l', 'since', ...job], {env})
  const tickets = async () => await keysUnder(etcd.url, 'leash/lock/since/')
  await until('a waiter to queue', async () => (await tickets()).length === 2, {withinMs: 10_000})
  const sinceOf = (value = ''): string => (JSON.parse(value) as {since: string}).since
  const byAge = (await tickets()).sort(
    (one, other) => Number(one.createRevision) - Number(other.createRevision),
  )
  const waiting = byAge[1]
  first.endInput()
  await second.says(/runs/)
  await until('the holder to say since when', async () => (await tickets())[0]?.value !== waiting?.value, {
    withinMs: 10_000,
  })
  const [holding] = await tickets()
  expect(holding?.createRevision).toBe(waiting?.createRevision)
  expect(sinceOf(holding?.value) > sinceOf(waiting?.value)).toBe(true)
  second.endInput()
  expect((await second.end()).status).toBe(0)
})
