import {expect, test} from 'vitest'
import {EngineProcess} from '../support/EngineProcess.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {crashes, type Server} from './crashes.ts'
import {etcdAsServer} from './etcdAsServer.ts'

const bytes = (text: string): Buffer => Buffer.from(text)

test('the local engine keeps what it acknowledged when it is killed, and brings nothing back', async () => {
  await using engine = await EngineProcess.start()
  const {problems, acknowledged, kills, killsAtStart} = await crashes(engine, {kills: 12, changes: 10})
  expect(problems).toEqual([])
  expect({kills, killsAtStart}).toEqual({kills: 12, killsAtStart: 2})
  // Nothing that a killed one had begun is left beside the store.
  expect(engine.files).toHaveLength(1)
  expect(acknowledged).toBeGreaterThanOrEqual(100)
})

test('etcd keeps what it acknowledged when it is killed', async () => {
  await using etcd = await EtcdServer.start()
  const {problems, acknowledged, kills} = await crashes(etcdAsServer(etcd), {kills: 5, changes: 10})
  expect(problems).toEqual([])
  expect(kills).toBe(5)
  expect(acknowledged).toBeGreaterThanOrEqual(40)
})

test('the judge sees acknowledged writes that are lost', async () => {
  await using etcd = await EtcdServer.start()
  const everything = {key: bytes('\0'), range_end: bytes('\0')}
  const server = etcdAsServer(etcd, async (api) => {
    await api.call('KV.DeleteRange', everything)
  })
  const {problems} = await crashes(server, {kills: 2, changes: 100})
  expect(problems.join('\n')).toMatch(/lost (one|two|three|four) = \d+/)
})

test('the judge sees a key that is back, and one that was only written again', async () => {
  await using etcd = await EtcdServer.start()
  const server = etcdAsServer(etcd, async (api) => {
    const {kvs} = await api.call('KV.Range', {key: bytes('crashes/0/one')})
    const [kv] = kvs as readonly {readonly value: Buffer}[]
    await api.call('KV.Put', {key: bytes('crashes/0/stale'), value: bytes('1')})
    await api.call('KV.Put', {key: bytes('crashes/0/one'), value: kv?.value ?? bytes('none')})
  })
  const {problems} = await crashes(server, {kills: 2, changes: 100})
  expect(problems.join('\n')).toMatch(/back again stale = 1/)
  expect(problems.join('\n')).toMatch(/the revision of one|one = none/)
})

test('the judge sees a lease that is lost, and revisions that go back', async () => {
  await using etcd = await EtcdServer.start()
  await using empty = await EtcdServer.start()
  const first = etcdAsServer(etcd)
  const server: Server = {
    ...first,
    get target() {
      return etcd.isRunning ? first.target : `127.0.0.1:${empty.port}`
    },
    launch: () => undefined,
    ready: () => empty.ready(),
  }
  const {problems} = await crashes(server, {kills: 1, changes: 100})
  expect(problems.join('\n')).toMatch(/the revision went back from \d+ to 1\n/)
  expect(problems.join('\n')).toMatch(/lost the lease/)
})
