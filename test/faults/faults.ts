/** The table of faults. */
import {answerFaults} from './answerFaults.ts'
import {etcdFaults} from './etcdFaults.ts'
import type {Fault} from './Fault.ts'
import {networkFaults} from './networkFaults.ts'
import {processFaults} from './processFaults.ts'
import {startFaults} from './startFaults.ts'

export const faults: readonly Fault[] = [
  ...networkFaults,
  ...etcdFaults,
  ...answerFaults,
  ...processFaults,
  ...startFaults,
]
