import {spawnSync} from 'node:child_process'
import {randomUUID} from 'node:crypto'
import {chmodSync, existsSync, mkdirSync, readFileSync, rmdirSync} from 'node:fs'
import path from 'node:path'
import {describe, expect, test, vi} from 'vitest'
import {Cgroup} from '../../../src/lib/child/cgroup.ts'
import {probeContainment} from '../../../src/lib/child/chooseContainment.ts'
import {canContainByCgroup, moveInto} from '../../support/cgroups.ts'
import {isAlive} from '../../support/processes.ts'
import {asOrdinaryUser, strangerUid} from '../config/temporaryWorld.ts'
import {type Contain, Contained} from './Contained.ts'

const cgroupSource = path.resolve(import.meta.dirname, '../../../src/lib/child/cgroup.ts')
const place = (): string => Cgroup.place(`leash-test-${randomUUID()}`)
const cgroupOf = (pid: number): string | undefined =>
  /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1]

describe.skipIf(!canContainByCgroup())('a cgroup (where one can be made)', () => {
  const start = (cgroup: Cgroup, ...argv: string[]): Promise<Contained> => {
    const contain: Contain = (root) => {
      moveInto(cgroup, root)
      return Promise.resolve(cgroup)
    }
    return Contained.start(contain, true, ...argv)
  }

  test('holds the job and what it forks, until it is given back: then they are where leash is', async () => {
    const cgroup = Cgroup.make(place())
    await using job = await start(cgroup, 'sh', '-c', 'sleep 1000 & echo $!; wait')
    const [child = 0] = await job.numbers(1)
    for (const pid of [job.pid, child]) expect(cgroupOf(pid)).toContain(path.basename(cgroup.directory))
    cgroup.dispose()
    expect(existsSync(cgroup.directory)).toBe(false)
    for (const pid of [job.pid, child]) expect(cgroupOf(pid)).toBe(cgroupOf(process.pid))
  })

  test('is given back with all the cgroups that the job has made in it', async () => {
    const script =
      'mkdir -p "$0/a/b"; echo $$ >"$0/a/b/cgroup.procs"; echo runs; while :; do sleep 0.02; done'
    const cgroup = Cgroup.make(place())
    await using job = await start(cgroup, 'sh', '-c', script, cgroup.directory)
    await job.says(/runs/)
    expect(cgroup.isEmpty()).toBe(false)
    expect(cgroup.pids()).toContain(job.pid)
    cgroup.dispose()
    expect(existsSync(cgroup.directory)).toBe(false)
    expect(isAlive(job.pid)).toBe(true)
  })

  test('is killed with all the cgroups that the job has made in it', async () => {
    const script =
      'mkdir "$0/a"; sh -c \'echo $$ >"$0/a/cgroup.procs"; exec sleep 1000\' "$0" & echo $!; wait'
    const cgroup = Cgroup.make(place())
    await using job = await start(cgroup, 'sh', '-c', script, cgroup.directory)
    await job.numbers(1)
    await job.killAll()
    await job.isGone()
  })

  test('is empty when it was removed, as only an empty one can be', () => {
    const cgroup = Cgroup.make(place())
    expect(cgroup.isEmpty()).toBe(true)
    rmdirSync(cgroup.directory)
    expect(cgroup.isEmpty()).toBe(true)
    expect(cgroup.pids()).toEqual([])
    expect(() => {
      cgroup.kill()
      cgroup.signal('SIGTERM', 'tree')
      cgroup.dispose()
    }).not.toThrow()
  })

  test('of somebody who may not make one is refused, and nothing of it stays', () => {
    const directory = place()
    expect(() => asOrdinaryUser(() => Cgroup.make(directory))).toThrow('EACCES')
    expect(existsSync(directory)).toBe(false)
  })

  test.skipIf(process.getuid?.() !== 0)(
    'of somebody who may make one, but move nobody into it, is refused (asks root)',
    () => {
      const outer = place()
      const inner = path.join(outer, 'inner')
      mkdirSync(outer)
      chmodSync(outer, 0o777)
      try {
        const make = `const {Cgroup} = await import('${cgroupSource}'); Cgroup.make('${inner}')`
        const other = ['--reuid', String(strangerUid), '--regid', String(strangerUid), '--clear-groups']
        const {stderr} = spawnSync(
          'setpriv',
          [...other, process.execPath, '--import', 'tsx', '--input-type=module', '-e', make],
          {
            encoding: 'utf8',
          },
        )
        expect(stderr).toContain('EACCES')
        expect(existsSync(inner)).toBe(false)
      } finally {
        rmdirSync(outer)
      }
    },
  )

  test('is what a job gets if the user does not wish otherwise, and probing leaves nothing', () => {
    const make = vi.spyOn(Cgroup, 'make')
    for (const wish of ['auto', 'cgroup'] as const)
      expect(probeContainment({wish, required: 'cgroup'})).toBe('cgroup')
    const made = make.mock.results.map(({value}) => (value as Cgroup).directory)
    make.mockRestore()
    expect(made.map((directory) => existsSync(directory))).toEqual([false, false])
  })
})
