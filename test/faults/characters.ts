import {canContainByCgroup} from '../support/cgroups.ts'
import type {FixtureMode} from '../support/oracle.ts'

/** Children that are hard to end, in turn: an odd number, so that each meets both tiers. */
const characters: readonly (readonly FixtureMode[])[] = [
  [],
  ['ignore-term'],
  ['daemon'],
  ['ignore-term', 'fork'],
  ['stop'],
  ['fork-loop'],
  ['own-groups'],
  ['many'],
  ['setsid'],
  ['ignore-term', 'daemon'],
  ['closed-pipe'],
  ['setsid', 'fork-loop'],
  ['stop', 'daemon'],
  ['ignore-term', 'own-groups'],
  ['fork'],
  ['ignore-term', 'closed-pipe', 'setsid'],
  ['stop', 'fork'],
]

/** What leash is to contain a job by. */
export type Tier = 'cgroup' | 'session'

/** What a round's holder runs, and what both of its jobs are contained by. */
export interface Character {
  readonly modes: readonly FixtureMode[]
  /** For `--contain`. */
  readonly contain: 'auto' | 'group'
  /** What leash must then say that it used. */
  readonly tier: Tier
}

export const characterOf = (turn: number): Character => {
  const modes = characters[turn % characters.length] ?? []
  const contain = turn % 2 === 0 ? 'auto' : 'group'
  return {modes, contain, tier: contain === 'auto' && canContainByCgroup() ? 'cgroup' : 'session'}
}
