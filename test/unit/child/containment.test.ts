import {randomUUID} from 'node:crypto'
import {describe} from 'vitest'
import {Cgroup} from '../../../src/lib/child/cgroup.ts'
import {ProcessTree} from '../../../src/lib/child/processTree.ts'
import {canContainByCgroup} from '../../support/cgroups.ts'
import type {Contain} from './Contained.ts'
import {containmentContract} from './containmentContract.ts'

const byCgroup: Contain = async ({pid, leads}) => {
  const cgroup = Cgroup.make(Cgroup.place(`leash-test-${randomUUID()}`))
  await cgroup.take(pid, leads)
  return cgroup
}
const bySession: Contain = (root) => Promise.resolve(new ProcessTree(root))

describe.each([
  ['a session of its own', true],
  ['the session of leash', false],
])('of a job in %s', (_, leads) => {
  describe.skipIf(!canContainByCgroup())('Cgroup (where a cgroup v2 can be made)', () =>
    containmentContract(byCgroup, leads),
  )
  describe.skipIf(process.platform !== 'linux')('ProcessTree (where there is a /proc)', () =>
    containmentContract(bySession, leads),
  )
})
