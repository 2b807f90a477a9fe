import {randomBytes} from 'node:crypto'
import {LeashError} from '../core/errors.ts'
import {Cgroup, jobCgroupName} from './cgroup.ts'
import {type Tier, tiers} from './containment.ts'
import {tierWithoutCgroup} from './processTree.ts'

/** What the user may wish for: the best; a cgroup or nothing; the best without a cgroup. */
export const containmentWishes = ['auto', 'cgroup', 'group'] as const

/** Which containment a job is to get. */
export interface ContainmentChoice {
  wish: (typeof containmentWishes)[number]
  /** Nothing less will do. */
  required: Tier
}

/** Where a job's cgroup can be made, if it can. */
export type CgroupPlace = {directory: string} | {obstacle: string}

/**
 * What a job would be contained by. Nothing of it stays.
 *
 * @throws LeashError `config` if that is less than is chosen
 */
export function probeContainment(choice: ContainmentChoice): Tier {
  const cgroup = makeCgroup(choice, placeOfCgroup(choice, randomBytes(8).toString('hex')))
  cgroup?.dispose()
  return cgroup?.tier ?? tierWithoutCgroup
}

/**
 * The place for a new cgroup, if one is wished for.
 *
 * @param id nobody else's
 */
export function placeOfCgroup({wish}: ContainmentChoice, id: string): CgroupPlace {
  if (wish === 'group') return {obstacle: 'ruled out by --contain group'}
  try {
    return {directory: Cgroup.place(jobCgroupName(id))}
  } catch (error) {
    return {obstacle: reasonOf(error)}
  }
}

/**
 * Makes a job's cgroup, if it can.
 *
 * @throws LeashError `config` if it cannot, and what is left is less than is chosen
 */
export function makeCgroup({wish, required}: ContainmentChoice, place: CgroupPlace): Cgroup | undefined {
  const made = tryAt(place)
  if (made instanceof Cgroup) return made
  if (wish === 'cgroup' || required === 'cgroup') {
    const wayOut =
      'run as root or in a unit with Delegate=yes, or ask for less with --contain and --require-containment'
    throw new LeashError('config', `no cgroup can be made for the job (${made})`, wayOut)
  }
  if (tiers.indexOf(required) < tiers.indexOf(tierWithoutCgroup)) {
    const message = 'a job that leaves its process group cannot be found without /proc'
    throw new LeashError('config', message, 'ask for less with --require-containment')
  }
  return undefined
}

function tryAt(place: CgroupPlace): Cgroup | string {
  if ('obstacle' in place) return place.obstacle
  try {
    return Cgroup.make(place.directory)
  } catch (error) {
    return reasonOf(error)
  }
}

function reasonOf(error: unknown): string {
  const {code, message} = error as NodeJS.ErrnoException
  return code ?? message
}
