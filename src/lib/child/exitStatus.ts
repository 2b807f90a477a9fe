import {constants} from 'node:os'
import {type LeashErrorCode, unreachable} from '../core/errors.ts'
import type {RunOutcome} from './runUnderLock.ts'
import type {ChildEnd} from './supervision.ts'

/** Exit statuses are known here and in docs/exit-status.md only. From 64 on they are those of sysexits.h where one fits. */
const statusOfError: Readonly<Record<LeashErrorCode, number>> = {
  usage: 64,
  unavailable: 69,
  bug: 70,
  permission: 77,
  config: 78,
  notExecutable: 126,
  notFound: 127,
}
/** Of whoever did not get a lock. */
export const notAcquired = 75
/** Of whoever relied on a lock that had ended. */
export const leaseLost = 79

/** Statuses that the user may choose, so that a job which returns the same ones can be told apart. */
export interface ChosenStatuses {
  conflict?: number | undefined
  lost?: number | undefined
}

/** The exit status of a fault. */
export function errorStatus(code: LeashErrorCode): number {
  return statusOfError[code]
}

/** The exit status of a run. */
export function runStatus(
  outcome: RunOutcome,
  {conflict = notAcquired, lost = leaseLost}: ChosenStatuses,
): number {
  switch (outcome.outcome) {
    case 'ended':
      return childStatus(outcome.child)
    case 'lost':
      return lost
    case 'contended':
    case 'waitedOut':
      return conflict
    case 'interrupted':
      return signalStatus(outcome.signal)
    default:
      return unreachable(outcome)
  }
}

function childStatus(end: ChildEnd): number {
  return 'code' in end ? end.code : signalStatus(end.signal)
}

/** Of whoever was ended by a signal, as a shell reports it. */
export function signalStatus(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}
