import {canContainByCgroup} from '../../support/cgroups.ts'
import type {TestLock} from './TestLock.ts'

/** Values of `--contain`, and whether this machine has what they ask for. */
export const containments: readonly [containment: string, isPossible: boolean][] = [
  ['group', true],
  ['cgroup', canContainByCgroup()],
]

/** What to type in front of a command to run it under a lock. */
export const runUnder = (containment: string, {name}: TestLock, ...options: string[]): string =>
  ['leash run --contain', containment, '-l', name, ...options, '--'].join(' ')
