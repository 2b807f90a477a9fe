import {randomUUID} from 'node:crypto'
import {spawnSync} from 'node:child_process'
import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {Cgroup} from '../../../src/lib/child/cgroup.ts'
import {ProcessTree} from '../../../src/lib/child/processTree.ts'
import {canContainByCgroup, moveInto} from '../../support/cgroups.ts'
import {strangerUid} from '../config/temporaryWorld.ts'
import {type Contain, Contained} from './Contained.ts'
import {containmentContract} from './containmentContract.ts'

const treeSource = path.resolve(import.meta.dirname, '../../../src/lib/child/processTree.ts')

const byCgroup: Contain = (root) => {
  const cgroup = Cgroup.make(Cgroup.place(`leash-test-${randomUUID()}`))
  moveInto(cgroup, root)
  return Promise.resolve(cgroup)
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

const isRoot = process.getuid?.() === 0
const hidden = ['unshare', '--mount', 'sh', '-c', 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', 'sh']
const another = ['setpriv', '--reuid', String(strangerUid), '--regid', String(strangerUid), '--clear-groups']
const [unshare = '', ...inHiding] = [...hidden, ...another]
const canHide = isRoot && spawnSync(unshare, [...inHiding, 'true']).status === 0

test.skipIf(!canHide)(
  'a session is not empty of which only processes of others are left, that are not to be seen (asks root)',
  async () => {
    await using job = await Contained.start(bySession, true, 'sleep', '1000')
    const look = `
    const {ProcessTree} = await import('${treeSource}')
    const tree = new ProcessTree({pid: ${job.pid}, leads: true, marker: 'LEASH_RUN_0'})
    console.log(tree.pids().length, tree.isEmpty(), tree.isOccupied())`
    const node = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', look]
    expect(spawnSync(unshare, [...inHiding, ...node], {encoding: 'utf8'}).stdout).toBe('0 false true\n')
  },
)

const ownNumbers = ['--pid', '--fork', '--kill-child', '--mount-proc']
const canRecycle = isRoot && spawnSync('unshare', [...ownNumbers, 'true']).status === 0

test.skipIf(!canRecycle).each([true, false])(
  'a tree is empty when the number of its job is that of a stranger, also of one that leads a session: %s (asks root)',
  (leads) => {
    const act = `
      const {ProcessTree} = await import('${treeSource}')
      const {spawn} = await import('node:child_process')
      const {once} = await import('node:events')
      const {writeFileSync} = await import('node:fs')
      const start = () => spawn('sleep', ['1000'], {detached: ${leads}, stdio: 'ignore'})
      const job = start()
      const tree = new ProcessTree({pid: job.pid, leads: ${leads}, marker: 'LEASH_RUN_0'})
      console.log(tree.pids().length)
      job.kill('SIGKILL')
      await once(job, 'exit')
      // Times of start are counted in hundredths of a second.
      await new Promise((resolve) => setTimeout(resolve, 50))
      writeFileSync('/proc/sys/kernel/ns_last_pid', String(job.pid - 1))
      const stranger = start()
      console.log(stranger.pid === job.pid, tree.pids().length, tree.isEmpty())
      tree.kill()
      await Promise.race([once(stranger, 'exit'), new Promise((resolve) => setTimeout(resolve, 100))])
      process.exit(stranger.signalCode === null ? 0 : 1)`
    const node = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', act]
    const {stdout, status} = spawnSync('unshare', [...ownNumbers, ...node], {encoding: 'utf8'})
    expect({stdout, status}).toEqual({stdout: '1\ntrue 0 true\n', status: 0})
  },
)
