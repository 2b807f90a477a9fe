import {describe, expect, test} from 'vitest'
import {grant, keysUnder, leases, put, status, timeToLive} from '../support/etcdGateway.ts'
import {EtcdCluster} from '../support/EtcdCluster.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {isAlive} from '../support/processes.ts'

describe.each(['3.4', '3.5'] as const)('one member of etcd %s', (version) => {
  test('is the version asked for, keeps its data over a kill and a restart, and ends with its owner', async () => {
    let pid: number
    {
      await using etcd = await EtcdServer.start({version})
      expect(await etcd.etcdctl('version')).toContain(`etcdctl version: ${version}.`)
      const lease = await grant(etcd.url, 60)
      await put(etcd.url, 'a/b', 'kept', lease)
      await etcd.kill()
      await expect(status(etcd.url)).rejects.toThrow()
      await etcd.restart()
      expect(await keysUnder(etcd.url, 'a/')).toMatchObject([{key: 'a/b', value: 'kept', lease}])
      expect(await leases(etcd.url)).toEqual([lease])
      expect((await timeToLive(etcd.url, lease)).grantedS).toBe(60)
      expect(await etcd.etcdctl('get', 'a/b', '--print-value-only')).toBe('kept\n')
      pid = etcd.pid
    }
    expect(isAlive(pid)).toBe(false)
  })

  test('answers nothing while frozen, and goes on when thawed', async () => {
    await using etcd = await EtcdServer.start({version})
    await etcd.freeze()
    await expect(status(etcd.url, 200)).rejects.toThrow(/did not answer .* within 200 ms/)
    etcd.thaw()
    await etcd.ready()
  })

  test('raises a TTL of one second to two: its timing is the default', async () => {
    await using etcd = await EtcdServer.start({version})
    const lease = await grant(etcd.url, 1)
    expect((await timeToLive(etcd.url, lease)).grantedS).toBe(2)
  })
})

test('says why it did not start', async () => {
  await expect(EtcdServer.start({flags: ['--election-timeout', '5']})).rejects.toThrow(
    /ended by itself[^]*--election-timeout\[5ms\]/,
  )
})

test('a cluster has one leader, and another one after that is killed', async () => {
  await using cluster = await EtcdCluster.start()
  const first = await cluster.leader()
  expect(await cluster.followers()).toHaveLength(2)
  await first.kill()
  const second = await cluster.leader()
  expect(second).not.toBe(first)
  await first.restart()
  expect(await cluster.followers()).toContain(first)
})

test('a cluster has another leader while the first is frozen', async () => {
  await using cluster = await EtcdCluster.start()
  const first = await cluster.leader()
  await first.freeze()
  expect(await cluster.leader(first)).not.toBe(first)
  first.thaw()
  await first.ready()
})
