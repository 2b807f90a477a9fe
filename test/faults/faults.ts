/** The tables of faults, one for each tool. */
import {acquireFaults} from './acquireFaults.ts'
import {answerFaults} from './answerFaults.ts'
import {etcdFaults} from './etcdFaults.ts'
import type {Fault} from './Fault.ts'
import {keeperFaults} from './keeperFaults.ts'
import {networkFaults} from './networkFaults.ts'
import {processFaults} from './processFaults.ts'
import {startFaults} from './startFaults.ts'

const commonFaults: readonly Fault[] = [...networkFaults, ...etcdFaults, ...answerFaults]

/** Of `leash run`. */
export const runFaults: readonly Fault[] = [...commonFaults, ...processFaults, ...startFaults]

/** Of a script with a keeper. */
export const keptFaults: readonly Fault[] = [...commonFaults, ...keeperFaults, ...acquireFaults]

const scriptKilled: Fault = {
  name: 'script killed',
  members: 'one',
  holder: 'left',
  ticketGoes: 'in time',
  variants: 2,
  strike: (_, rounds) => Promise.resolve(rounds.forEach((round) => round.killHolder('group'))),
}

/** Each command has to find out by itself that a member does not answer: that takes seconds, which must be there. */
const isToFindAMember = ({members, holder}: Fault): boolean => members === 'three' && holder === 'kept'

/** Of a script without. When its ticket is deleted, nobody ends the step that it is in: nothing is promised then. */
export const checkedFaults: readonly Fault[] = [
  ...commonFaults
    .filter(({againstCausality}) => !againstCausality)
    .map((fault) => (isToFindAMember(fault) ? {...fault, ttlMs: 20_000} : fault)),
  scriptKilled,
  ...acquireFaults,
]
