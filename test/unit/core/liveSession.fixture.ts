import {Clock} from '../../../src/lib/core/clock.ts'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'
import {LiveSession, type SessionNews} from '../../../src/lib/core/liveSession.ts'
import type {Enqueue} from '../../../src/lib/core/ports.ts'
import type {Ticket} from '../../../src/lib/core/ticket.ts'
import {type Terms, timeline} from '../../../src/lib/core/timeline.ts'
import {FakeClock} from '../../support/fakeClock.ts'
import {FakeStore} from '../../support/fakeStore.ts'

/** What the tests of sessions count with: TTL 30 s, so renewals every 7.5 s, TERM at 19.95 s, KILL at 28.95 s. */
const terms: Terms = {lockDelayMs: 0}
export const line = timeline(30_000, terms)

export interface Kept {
  time: FakeClock
  clock: Clock
  store: FakeStore
  ticket: Ticket
  session: LiveSession
  news: SessionNews[]
  /** When renewals arrived at etcd. */
  renewalsAtMs: number[]
}

/** A session granted at 0, with its ticket, and everything around it. */
export async function keepSession(): Promise<Kept> {
  const time = new FakeClock()
  const clock = new Clock(time)
  const renewalsAtMs: number[] = []
  const store = new (class extends FakeStore {
    override renew(...parameters: Parameters<FakeStore['renew']>): ReturnType<FakeStore['renew']> {
      renewalsAtMs.push(clock.elapsedMs())
      return super.renew(...parameters)
    }
  })(clock)
  const {signal} = new AbortController()
  const lease = 0xabcn as LeaseId
  const {ttlMs, sentAtMs} = await store.grant(lease, 30, signal)
  const request: Enqueue = {queues: [{queuePrefix: 'q/'}], lease, value: '', onlyIfNobody: true}
  const ticket = (await store.enqueue(request, signal))[0]?.own
  if (ticket === undefined) throw new Error('no ticket')
  const news: SessionNews[] = []
  const tell = (one: SessionNews): number => news.push(one)
  const granted = {sentAtMs, timeline: timeline(ttlMs, terms)}
  const session = new LiveSession({store, clock, ticket, terms, tell}, granted)
  return {time, clock, store, ticket, session, news, renewalsAtMs}
}
