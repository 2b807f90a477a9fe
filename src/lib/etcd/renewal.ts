import type {ILeaseKeepAliveResponse, ITxnResponse} from 'etcd3'
import type {Clock} from '../core/clock.ts'
import {type RenewalEvidence, RenewalFailed} from '../core/ports.ts'
import {underSignals} from '../core/signals.ts'
import type {Ticket} from '../core/ticket.ts'
import type {CallPolicy} from './callPolicy.ts'
import {describeFailure} from './failure.ts'
import type {Member} from './member.ts'
import {createRevisions, ticketsRequest} from './requests.ts'

/** All of one lease. */
type Tickets = readonly [Ticket, ...Ticket[]]

/**
 * One attempt at a renewal: asks the preferred member, and a second one as well if the first has failed or has not
 * answered after `hedgeAfterMs`. The first evidence wins; the other attempt is given up, and its stream with it.
 *
 * @throws RenewalFailed when no evidence came within `attemptMs`
 */
export async function hedgedRenewal(
  tickets: Tickets,
  {attemptMs, hedgeAfterMs}: {attemptMs: number; hedgeAfterMs: number},
  {policy, clock}: {policy: CallPolicy; clock: Clock},
  signal: AbortSignal,
): Promise<RenewalEvidence> {
  const byMs = clock.elapsedMs() + attemptMs
  const over = new AbortController()
  let reason = 'no answer in time'
  return underSignals([signal, over.signal], async (signals) => {
    const ask = (member: Member): Promise<{member: Member; evidence: RenewalEvidence}> =>
      policy
        .attempt(member, byMs, signals, (limited) => renewOnce(member, tickets, clock, limited))
        .then((evidence) => ({member, evidence}))
        .catch((error: unknown) => {
          if (!signals.aborted) reason = describeFailure(policy.noteFailure(error, member))
          throw error
        })
    const [first, second] = policy.members
    const asked = ask(first)
    const hedge = (member: Member): ReturnType<typeof ask> =>
      unlessAnswered(asked, hedgeAfterMs, clock, signals).then(() => ask(member))
    try {
      const won = await Promise.any(second === undefined ? [asked] : [asked, hedge(second)])
      // A watch on the member that let us wait would hear as little as this renewal did.
      if (won.member !== first) first.reset()
      return won.evidence
    } catch {
      signal.throwIfAborted()
      throw new RenewalFailed(reason)
    } finally {
      over.abort()
    }
  })
}

/** Resolves when it is time to ask a second member; rejects when that is no longer needed. */
async function unlessAnswered(
  attempt: Promise<unknown>,
  hedgeAfterMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const failed = new AbortController()
  attempt.catch(() => failed.abort())
  await clock
    .sleepUntil(clock.elapsedMs() + hedgeAfterMs, AbortSignal.any([signal, failed.signal]))
    .catch(() => signal.throwIfAborted())
}

/** The keep-alive on a stream of its own, so that no answer can be taken for that of another request; then the read. */
async function renewOnce(
  member: Member,
  tickets: Tickets,
  clock: Clock,
  signal: AbortSignal,
): Promise<RenewalEvidence> {
  const sentAtMs = clock.elapsedMs()
  let alive: ILeaseKeepAliveResponse | undefined
  const keep = (answer: ILeaseKeepAliveResponse): boolean => {
    alive = answer
    return true
  }
  await member.stream('Lease', 'leaseKeepAlive', {ID: tickets[0].lease.toString()}, keep, signal)
  const seen = await member.unary<ITxnResponse>('KV', 'txn', ticketsRequest(tickets), signal)
  return {
    sentAtMs,
    ttlMs: Number(alive?.TTL ?? 0) * 1000,
    keepAliveTerm: BigInt(alive?.header.raft_term ?? 0),
    readTerm: BigInt(seen.header.raft_term),
    createRevisions: createRevisions(seen),
  }
}
