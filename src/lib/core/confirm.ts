import type {Clock} from './clock.ts'
import {LeashError} from './errors.ts'
import {withLimit} from './limit.ts'
import type {LeaseStore} from './ports.ts'
import {judge} from './session.ts'
import type {Ticket} from './ticket.ts'

/** One attempt of a command that somebody waits for; longer than an election of etcd's leader takes. */
const attemptMs = 3000
/** Later than a healthy member answers. */
const hedgeAfterMs = 500
const pauseMs = 200

const outOfTime = Symbol('out of time')

/** What a renewal by hand brought: a confirmed one, as of when it was sent; or that a ticket is gone. */
export type Confirmation = {is: 'confirmed'; sentAtMs: number; ttlMs: number} | {is: 'ticketGone'}

/**
 * Renews a lease once, for who does not keep it alive: tries until a renewal is confirmed as `judge` has it.
 *
 * @throws LeashError `unavailable` if none is within `limitMs`
 */
export async function confirm(
  tickets: readonly [Ticket, ...Ticket[]],
  {store, clock}: {store: LeaseStore; clock: Clock},
  limitMs: number,
): Promise<Confirmation> {
  let reason: string | undefined
  const attempt = async (signal: AbortSignal): Promise<Confirmation | undefined> => {
    try {
      const evidence = await store.renew(tickets, {attemptMs, hedgeAfterMs}, signal)
      const verdict = judge(evidence, tickets)
      if (verdict.is === 'ticketGone') return {is: 'ticketGone'}
      if (verdict.is === 'confirmed')
        return {is: 'confirmed', sentAtMs: evidence.sentAtMs, ttlMs: evidence.ttlMs}
      reason = verdict.reason
    } catch (error) {
      signal.throwIfAborted()
      reason = error instanceof Error ? error.message : String(error)
    }
    await clock.sleepUntil(clock.elapsedMs() + pauseMs, signal)
    return undefined
  }
  try {
    const limit = {atMs: clock.elapsedMs() + limitMs, reason: outOfTime}
    return await withLimit(clock, limit, undefined, async (signal) => {
      for (;;) {
        const confirmation = await attempt(signal)
        if (confirmation !== undefined) return confirmation
      }
    })
  } catch (error) {
    if (error !== outOfTime) throw error
    throw new LeashError(
      'unavailable',
      `the lease has not been confirmed: ${reason ?? store.lastFailure}`,
      store.server.wayOut,
    )
  }
}
