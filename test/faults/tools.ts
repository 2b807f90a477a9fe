/** What the faults strike: the ways to hold a lock. */
import path from 'node:path'
import {leash} from '../support/Job.ts'
import {characterOf, keptCharacterOf, type Character} from './characters.ts'
import type {Fault} from './Fault.ts'
import {checkedFaults, keptFaults, runFaults} from './faults.ts'

export interface Tool {
  /** For `--tool`. */
  readonly name: string
  readonly faults: readonly Fault[]
  /** Takes the command line of `run`, in place of the built leash. */
  readonly program?: readonly string[]
  /** Where its tickets stand, below the prefix. */
  readonly queue: 'lock' | 'election'
  /** What each leash of a round takes beside; a round has one holder and those that wait. */
  readonly flagsOf?: (who: 'holder' | 'waiter', turn: number) => readonly string[]
  /** The TTL at which it is struck if nobody chooses another. */
  readonly ttlMs: number
  /** How it ends when the lease is lost: with one of these. */
  readonly lostEnds: readonly (number | NodeJS.Signals)[]
  /** Whether its status file says what contained the job. */
  readonly saysTier: boolean
  /** The children that it can end. */
  readonly characterOf: (turn: number) => Character
}

/** Nothing that is hard to end: nobody ends it. */
const stepCharacterOf = (turn: number): Character => ({...characterOf(turn), modes: []})

const script = (name: string): string[] => ['sh', path.join(import.meta.dirname, name), ...leash()]

export const run: Tool = {
  name: 'run',
  faults: runFaults,
  queue: 'lock',
  ttlMs: 3000,
  lostEnds: [79],
  saysTier: true,
  characterOf,
}

/** A candidate with a command: a second leader is a second tree. */
export const campaign: Tool = {
  ...run,
  name: 'campaign',
  program: script('campaign.sh'),
  queue: 'election',
}

/** A reader and a writer: one of them holds, in turn, and the other one waits. */
export const shared: Tool = {
  ...run,
  name: 'shared',
  flagsOf: (who, turn) => ((turn % 2 === 0) === (who === 'holder') ? ['--shared'] : []),
}

/** As many slots as make a second tree one too many. */
export const slots: Tool = {...run, name: 'slots', flagsOf: () => ['--slots', '1']}

/** `acquire --keep` by a shell, which is ended with its descendants. */
export const acquire: Tool = {
  name: 'acquire',
  faults: keptFaults,
  program: script('acquire.sh'),
  queue: 'lock',
  ttlMs: 3000,
  lostEnds: ['SIGTERM', 'SIGKILL'],
  saysTier: false,
  characterOf: keptCharacterOf,
}

/** `acquire` without a keeper: nobody is ended, and a script asks before each step whether the lock is held for so long. */
export const check: Tool = {
  name: 'check',
  faults: checkedFaults,
  program: script('check.sh'),
  queue: 'lock',
  // Two commands have to start in each half of it.
  ttlMs: 6000,
  lostEnds: [79],
  saysTier: false,
  characterOf: stepCharacterOf,
}

/** What serves the locks. */
export type Engine = 'etcd' | 'local'

/** The faults of a tool's table that can strike this engine: of the local one there is one, and no members. */
export const faultsOn = (engine: Engine, {faults}: Tool): readonly Fault[] =>
  engine === 'etcd' ? faults : faults.filter(({members}) => members === 'one')

export const tools: readonly Tool[] = [run, campaign, shared, slots, acquire, check]
