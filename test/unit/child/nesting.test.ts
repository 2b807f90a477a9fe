import {randomUUID} from 'node:crypto'
import {rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {Cgroup} from '../../../src/lib/child/cgroup.ts'
import type {Containment} from '../../../src/lib/child/containment.ts'
import {ProcessTree} from '../../../src/lib/child/processTree.ts'
import {canContainByCgroup, moveInto} from '../../support/cgroups.ts'
import {isAlive} from '../../support/processes.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {until} from '../../support/wait.ts'
import {type Contain, Contained, soon} from './Contained.ts'

const innerMarker = 'LEASH_RUN_inner'
/** The inner job waits until it is contained; then it has a child and a daemon. */
const innerJob =
  'echo $$; until [ -e "$0" ]; do sleep 0.01; done; setsid sleep 1000 & echo $!; sleep 1000 & echo $!; wait'
const outerJob = `${innerMarker}=1 setsid sh -c '${innerJob}' "$0" & exec sleep 1000`

interface Kind {
  contain: Contain
  /** Makes what holds the inner job. */
  nest: (outer: Containment, pid: number) => Promise<Containment>
}

const bySession: Kind = {
  contain: (root) => Promise.resolve(new ProcessTree(root)),
  nest: (_, pid) => Promise.resolve(new ProcessTree({pid, leads: true, marker: innerMarker})),
}

const cgroupAt = (directory: string, pid: number): Promise<Cgroup> => {
  const cgroup = Cgroup.make(directory)
  moveInto(cgroup, {pid, leads: true})
  return Promise.resolve(cgroup)
}
const newName = (): string => `leash-test-${randomUUID()}`
const byCgroup: Kind = {
  contain: ({pid}) => cgroupAt(Cgroup.place(newName()), pid),
  nest: (outer, pid) => cgroupAt(path.join((outer as Cgroup).directory, newName()), pid),
}

describe.each<[string, Kind]>([
  ['sessions', bySession],
  ...(canContainByCgroup() ? [['cgroups', byCgroup] as [string, Kind]] : []),
])('of two jobs in %s, one inside the other,', (_, {contain, nest}) => {
  const nested = async (
    check: (outer: Contained, inner: Containment, inside: number[]) => Promise<void>,
  ): Promise<void> => {
    const directory = scratchDirectory('nesting')
    try {
      const go = path.join(directory, 'go')
      await using outer = await Contained.start(contain, true, 'sh', '-c', outerJob, go)
      const [root = 0] = await outer.numbers(1)
      const inner = await nest(outer.containment, root)
      writeFileSync(go, '')
      await check(outer, inner, await outer.numbers(3))
    } finally {
      rmSync(directory, {recursive: true})
    }
  }
  const allDead = (pids: readonly number[]): Promise<boolean> =>
    until('the inner job to end', () => !pids.some(isAlive), soon)

  test('a kill of the inner one does not touch the outer one', () =>
    nested(async (outer, inner, inside) => {
      expect(inner.pids().toSorted()).toEqual(inside.toSorted())
      inner.kill()
      await allDead(inside)
      await until('it to be empty', () => inner.isEmpty(), soon)
      expect(isAlive(outer.pid)).toBe(true)
      expect(outer.containment.isEmpty()).toBe(false)
    }))

  test('a signal for the inner one does not touch the outer one', () =>
    nested(async (outer, inner, inside) => {
      inner.signal('SIGTERM', 'tree')
      await allDead(inside)
      expect(isAlive(outer.pid)).toBe(true)
    }))

  test('a kill of the outer one ends both', () =>
    nested(async (outer, inner) => {
      await outer.killAll()
      await outer.isGone()
      expect(inner.isEmpty()).toBe(true)
    }))

  test('the outer one is not empty while the inner one lives', () =>
    nested(async (outer, _inner, inside) => {
      process.kill(outer.pid, 'SIGKILL')
      await outer.end()
      expect(outer.containment.isEmpty()).toBe(false)
      expect(outer.containment.pids().toSorted()).toEqual(inside.toSorted())
    }))
})
