import {describe, expect, test} from 'vitest'
import {Leash, leash} from '../cli/support/leash.ts'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {grant} from '../support/etcdGateway.ts'
import {campaign, leaderOf, observe, proclaim, resign} from '../support/etcdServices.ts'
import {until} from '../support/wait.ts'
import {GatewayRival} from './GatewayRival.ts'
import {KeptLeadership} from './KeptLeadership.ts'
import {describeExclusion} from './exclusion.ts'

const versions: EtcdVersion[] = ['3.4', '3.5']
const election = 'leash/election/api'
const soon = {withinMs: 10_000}

describe('v3lock and v3election by HTTP', () => {
  for (const version of versions) describeExclusion(version, GatewayRival.start)
})

describe.each(versions)('v3election of etcd %s', (version) => {
  test('names the leader that leash is, and tells its observers what that proclaims', async () => {
    await using etcd = await EtcdServer.start({version})
    await using ours = await KeptLeadership.of(etcd, 'api', 'one')
    const stopping = new AbortController()
    const told: unknown[] = []
    const observing = observe(etcd.url, election, (leader) => told.push(leader), stopping.signal)
    const expected: unknown[] = []
    const isTold = async (value: string): Promise<void> => {
      const leader = {key: ours.key, value}
      expected.push(leader)
      expect(await leaderOf(etcd.url, election)).toEqual(leader)
      await until('it to be told', () => told.length >= expected.length, soon)
      expect(told).toEqual(expected)
    }
    await isTold('one')
    await ours.proclaim('two')
    await isTold('two')
    await ours.proclaim('three')
    await isTold('three')
    await ours.resign()
    await expect(leaderOf(etcd.url, election)).rejects.toThrow('no leader')
    stopping.abort()
    await observing
  })

  test('has its leader named by leash, and what that proclaims, until it resigns', async () => {
    await using etcd = await EtcdServer.start({version})
    const env = {LEASH_ENDPOINTS: etcd.url}
    const named = (): ReturnType<typeof leash> => leash(['leader', 'api'], {env})
    const lease = await grant(etcd.url, 60)
    const theirs = await campaign(etcd.url, election, lease, 'one')
    await using observer = new Leash(['observe', 'api'], {env})
    await observer.says(/elected one .*\n/)
    expect(await named()).toEqual({status: 0, stdout: 'one\n', stderr: ''})
    await proclaim(etcd.url, theirs, 'two')
    await observer.says(/proclaimed two .*\n/)
    expect(await named()).toEqual({status: 0, stdout: 'two\n', stderr: ''})
    await resign(etcd.url, theirs)
    await observer.says(/vacant\n/)
    expect((await named()).status).toBe(1)
    const events = observer.stdout.match(/ (elected one|proclaimed two|vacant)/g)
    expect(events).toEqual([' elected one', ' proclaimed two', ' vacant'])
    expect(observer.stdout.trimEnd().split('\n')).toHaveLength(3)
  })
})
