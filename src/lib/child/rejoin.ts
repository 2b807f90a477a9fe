import type {Clock} from '../core/clock.ts'
import {LeashError} from '../core/errors.ts'
import type {TicketAhead} from '../core/ticket.ts'
import type {RunOutcome} from './runUnderLock.ts'
import {Interrupted, type SignalInbox} from './signalInbox.ts'

/** The first pause after a loss; doubled as long as one loss follows another. */
const firstPauseMs = 1000
const longestPauseMs = 30_000
/** A campaign that took so long, waiting or leading, was not ended by what ended the one before. */
const soundAfterMs = 60_000

/** What a candidate that never gives up works with. */
export interface RejoinPorts {
  clock: Clock
  signals: SignalInbox
  /** Whether it is a ticket of an earlier campaign of ours, which stands until its lease has run out. */
  isOurs: (ticket: TicketAhead) => boolean
  /** Told why, and after which pause it goes on. */
  tell: (reason: string, pauseMs: number) => void
  /** From 0 to 1: a fleet that has lost its etcd does not come back to it all at once. */
  random: () => number
}

/**
 * Campaigns again and again, for ever, until something else ends it than a loss, or an etcd out of reach: the job itself, a
 * signal, somebody else who leads, a wait that ran out. A signal that told a job to end which was lost is for us as well.
 *
 * @param campaign once; when it resolves with `lost`, all that depended on the leadership is dead
 */
export async function rejoin<Outcome extends {outcome: string; ahead?: TicketAhead}>(
  campaign: () => Promise<Outcome>,
  describeLoss: (outcome: Outcome) => string,
  {clock, signals, isOurs, tell, random}: RejoinPorts,
): Promise<Outcome | (RunOutcome & {outcome: 'interrupted'})> {
  for (let pauseMs = firstPauseMs; ;) {
    const startedAtMs = clock.elapsedMs()
    const {outcome, reason} = await attempt(campaign, describeLoss, isOurs)
    if (outcome !== undefined && (outcome.outcome !== 'lost' || signals.hasToldToEnd)) return outcome
    signals.forwardTo(undefined)
    if (clock.elapsedMs() - startedAtMs >= soundAfterMs) pauseMs = firstPauseMs
    const jitteredMs = pauseMs * (0.5 + random() / 2)
    tell(reason, jitteredMs)
    try {
      await clock.sleepUntil(clock.elapsedMs() + jitteredMs, signals.interrupted)
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error
      return {outcome: 'interrupted', signal: error.signal, waitedMs: 0}
    }
    pauseMs = Math.min(pauseMs * 2, longestPauseMs)
  }
}

async function attempt<Outcome extends {ahead?: TicketAhead}>(
  campaign: () => Promise<Outcome>,
  describeLoss: (outcome: Outcome) => string,
  isOurs: RejoinPorts['isOurs'],
): Promise<{outcome?: Outcome; reason: string}> {
  try {
    const outcome = await campaign()
    if (outcome.ahead !== undefined && isOurs(outcome.ahead))
      return {reason: 'the ticket of the leadership that was lost still stands'}
    return {outcome, reason: describeLoss(outcome)}
  } catch (error) {
    if (error instanceof LeashError && error.code === 'unavailable') return {reason: error.message}
    throw error
  }
}
