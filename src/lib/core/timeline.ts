import {LeashError} from './errors.ts'

/**
 * The lease timeline: what happens when, after a confirmed renewal was sent. All lengths count from `sentAtMs`, the
 * local time just before that renewal left.
 *
 * ```
 * sent ....... renew .... renew ........ TERM ....... KILL .. E ........ etcd may expire
 * |<------------ entitledMs = (T - L) * (1 - rho) ---------->|<-- L + drift -->|
 * |<----- termAfterMs ------------------>|<- grace -->|<- k ->|
 * ```
 *
 * The receiver of a lease gives up before the issuer may hand it on: Gray and Cheriton, "Leases: an efficient
 * fault-tolerant mechanism for distributed file cache consistency", SOSP 1989.
 */
export interface Timeline {
  /** T: the TTL in etcd's answer. */
  ttlMs: number
  /** L: how much longer than us every client waits after an unclean end. */
  lockDelayMs: number
  /** From TERM to KILL. */
  graceMs: number
  /** k: from KILL to the end of the entitlement, in which the tree must be seen empty. */
  killMarginMs: number
  /** E: how long a confirmed renewal entitles us, by our clock. */
  entitledMs: number
  /** When TERM is due without a further confirmed renewal. */
  termAfterMs: number
  /** When KILL is due without a further confirmed renewal. */
  killAfterMs: number
  /**
   * When the guard ends the tree by itself: before KILL, so that a frozen leash changes nothing for anybody else; but after
   * TERM, from where on a leash that runs has told it the moment of KILL itself.
   */
  guardAfterMs: number
  /** When people are told that renewals fail: half-way to TERM. */
  warnAfterMs: number
  /** When the next renewal is sent. */
  renewAfterMs: number
  /** How long one attempt at a renewal may take before it is given up. */
  attemptMs: number
  /** How long one attempt may take before a second member is asked as well. */
  hedgeAfterMs: number
  /** What must be left of the entitlement when a child is started: else renew first. */
  startNeedsMs: number
  /**
   * The same when a renewal was sent just for this start, and took up to one attempt to be confirmed. That much is left
   * with any settings that fit; with the tightest, `startNeedsMs` never is.
   */
  startNeedsAfterRenewalMs: number
}

/** What the user chooses; the TTL in the answer decides. */
export interface Terms {
  lockDelayMs: number
  /** Absent: 30 % of the TTL, at most 10 s. */
  graceMs?: number | undefined
}

/** rho: clocks of holder and etcd run at rates within 1 % of each other. Quartz is better than 0.01 %; a smeared leap second needs 0.0012 %, a slewing ntpd 0.05 %; 1 % is wide of all. */
const clockRateBound = 0.01
/** k is at least this: longer than a loaded machine was seen to need between KILL and an empty tree. */
const shortestKillMarginMs = 250
/** k as a share of T - L, for what grows with it: a long lease is used where pauses are long. */
const killMarginShare = 0.025
const defaultGraceShare = 0.3
const longestDefaultGraceMs = 10_000
/** How much before KILL the guard acts: longer than it takes to wake up and to see a tree empty. */
const guardLeadMs = 100
/** How much after TERM the guard acts at the earliest: who runs at all has acted by then, also with no grace. */
const guardLagMs = 20
/** Four renewals fit into a lease, so that one lost answer is no news. */
const renewalsPerLease = 4
/** An attempt is half a renewal interval: one retry still ends before the next renewal would have been due. */
const attemptsPerLease = 8
/** A quarter of an attempt: later than a healthy member answers, early enough for a second one. */
const hedgeShare = 0.25
/** Of a long lease, too: a command that renews it is waited for by a shell. */
const longestHedgeMs = 1000

/**
 * Computes the timeline for a TTL as etcd answered it (or, before there is an answer, as we shall ask for it).
 *
 * @param ttlMs T, the lock-delay included
 * @throws LeashError `usage` if the settings do not fit; the message shows both sides of the inequality
 */
export function timeline(ttlMs: number, {lockDelayMs, graceMs: chosenGraceMs}: Terms): Timeline {
  const ownMs = ttlMs - lockDelayMs
  const graceMs = chosenGraceMs ?? Math.min(ownMs * defaultGraceShare, longestDefaultGraceMs)
  const killMarginMs = Math.max(shortestKillMarginMs, ownMs * killMarginShare)
  const entitledMs = ownMs * (1 - clockRateBound)
  const renewAfterMs = ownMs / renewalsPerLease
  const attemptMs = ownMs / attemptsPerLease
  const startNeedsMs = renewAfterMs + attemptMs + graceMs + killMarginMs
  if (startNeedsMs > entitledMs) {
    throw new LeashError(
      'usage',
      `the timeline does not fit: renew interval ${inSeconds(renewAfterMs)} + one retry ${inSeconds(attemptMs)} + ` +
        `grace ${inSeconds(graceMs)} + kill margin ${inSeconds(killMarginMs)} = ${inSeconds(startNeedsMs)}, ` +
        `more than the ${inSeconds(entitledMs)} that a TTL of ${inSeconds(ownMs)} entitles to`,
      'choose a longer --ttl or a shorter --grace',
    )
  }
  const killAfterMs = entitledMs - killMarginMs
  const termAfterMs = killAfterMs - graceMs
  return {
    ttlMs,
    lockDelayMs,
    graceMs,
    killMarginMs,
    entitledMs,
    termAfterMs,
    killAfterMs,
    guardAfterMs: Math.max(killAfterMs - guardLeadMs, termAfterMs + guardLagMs),
    warnAfterMs: termAfterMs / 2,
    renewAfterMs,
    attemptMs,
    hedgeAfterMs: Math.min(attemptMs * hedgeShare, longestHedgeMs),
    startNeedsMs,
    startNeedsAfterRenewalMs: startNeedsMs - attemptMs,
  }
}

/** The TTL to ask etcd for, in its unit: a lock-delay is nothing but a longer lease. Whole seconds, rounded up. */
export function ttlToAskSeconds(ttlMs: number, lockDelayMs: number): number {
  return Math.ceil((ttlMs + lockDelayMs) / 1000)
}

function inSeconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(3))} s`
}
