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

/** Of a process that is kept leash ends only what descends from it, and a script looks after what its commands leave. */
const isKeepable = (modes: readonly FixtureMode[]): boolean =>
  !modes.includes('daemon') && !modes.includes('fork-loop')

const keepable = characters.filter(isKeepable)

/** The children of a script that is kept. */
export const keptCharacterOf = (turn: number): Character => {
  const modes = keepable[turn % keepable.length] ?? []
  return {...characterOf(turn), modes: [...modes, 'tidy']}
}

export const characterOf = (turn: number): Character => {
  const modes = characters[turn % characters.length] ?? []
  const contain = turn % 2 === 0 ? 'auto' : 'group'
  return {modes, contain, tier: contain === 'auto' && canContainByCgroup() ? 'cgroup' : 'session'}
}
