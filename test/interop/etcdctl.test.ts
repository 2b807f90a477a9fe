import {describe, expect, test} from 'vitest'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {until} from '../support/wait.ts'
import {EtcdctlProcess} from './EtcdctlProcess.ts'
import {KeptLeadership} from './KeptLeadership.ts'
import {startEtcdctl} from './Rival.ts'
import {describeExclusion} from './exclusion.ts'

const versions: EtcdVersion[] = ['3.4', '3.5']

describe('etcdctl', () => {
  for (const version of versions) describeExclusion(version, startEtcdctl)
})

test.each(versions)(
  'etcdctl elect -l of etcd %s prints what leash proclaims by a handle',
  async (version) => {
    await using etcd = await EtcdServer.start({version})
    await using leader = await KeptLeadership.of(etcd, 'api', 'one')
    await using observer = new EtcdctlProcess(etcd, 'elect', '-l', 'leash/election/api')
    let printed = ''
    const prints = async (value: string): Promise<void> => {
      printed += `${leader.key}\n${value}\n`
      const detail = (): string => `${observer.output}${observer.errors}`
      await until('etcdctl to print it', () => observer.output.length >= printed.length, {
        withinMs: 10_000,
        detail,
      })
      expect(observer.output).toBe(printed)
    }
    await prints('one')
    await leader.proclaim('two')
    await prints('two')
    await leader.proclaim('three')
    await prints('three')
    await leader.resign()
  },
)
