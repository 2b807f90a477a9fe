import type {Clock} from '../../src/lib/core/clock.ts'
import {type LeaseId, type Revision, leaseHex} from '../../src/lib/core/identifiers.ts'
import {
  type Dequeue,
  type Enqueue,
  type Granted,
  LeaseGone,
  type LeaseStore,
  type QueueKeys,
  RenewalFailed,
  type RenewalEvidence,
  markKeyOf,
} from '../../src/lib/core/ports.ts'
import {type QueueView, besideMark} from '../../src/lib/core/queue.ts'
import {type Ticket, type TicketAhead, readTicket, markValue} from '../../src/lib/core/ticket.ts'
import {FakeEtcd, type FakeKey} from './fakeEtcd.ts'

/** The requests that a store sends. */
export type FakeMethod =
  | 'grant'
  | 'enqueue'
  | 'look'
  | 'peek'
  | 'renew'
  | 'declareHold'
  | 'proclaim'
  | 'dequeue'
  | 'unmark'
  | 'revoke'
  | 'deletion'

/** How long after a failure the fake asks again. */
const fakeRetryMs = 100

/** A lease store in memory, for one client; several on one `FakeEtcd` compete. What fails, fails when a test says so. */
export class FakeStore implements LeaseStore {
  /** Nothing is answered: connections are refused, or requests get lost on their way. */
  unreachable: 'refused' | 'silent' | undefined
  /** Renewals are answered by a leader that was deposed: it renews nothing, and says the old term. */
  deposed = false
  /** How long a request takes to arrive, and its answer to come back. */
  latency = {thereMs: 0, backMs: 0}
  /** Every request that arrived, repeated ones too. */
  readonly arrived: FakeMethod[] = []
  readonly server = {name: 'etcd', wayOut: 'check the endpoints and the network'}
  lastFailure = 'fake: no answer'
  readonly etcd: FakeEtcd
  readonly #clock: Clock
  readonly #lost: FakeMethod[] = []
  readonly #gates = new Map<FakeMethod, Promise<void>>()

  constructor(clock: Clock, etcd = new FakeEtcd(clock)) {
    this.#clock = clock
    this.etcd = etcd
  }

  /** The answer to the next request of this kind is lost after it was committed. */
  loseAnswer(method: FakeMethod): void {
    this.#lost.push(method)
  }

  /** Answers to requests of this kind, made already, are kept back until the function returned is called. */
  holdAnswers(method: FakeMethod): () => void {
    let open = (): void => {}
    this.#gates.set(
      method,
      new Promise((resolve) => {
        open = resolve
      }),
    )
    return () => {
      this.#gates.delete(method)
      open()
    }
  }

  grant(lease: LeaseId, ttlSeconds: number, signal: AbortSignal): Promise<Granted> {
    const firstSentAtMs = this.#clock.elapsedMs()
    return this.#request('grant', signal, (sentAtMs) => {
      const ttlMs = this.etcd.grant(lease, ttlSeconds * 1000)
      return ttlMs === undefined ? {ttlMs: ttlSeconds * 1000, sentAtMs: firstSentAtMs} : {ttlMs, sentAtMs}
    })
  }

  enqueue(
    {queues, lease, value, beside, onlyIfNobody}: Enqueue,
    signal: AbortSignal,
  ): Promise<readonly QueueView[]> {
    const keyIn = ({queuePrefix}: QueueKeys): string => queuePrefix + leaseHex(lease)
    const ticket = (queue: QueueKeys): {key: string; value: string; lease: LeaseId} => ({
      key: keyIn(queue),
      value: textOf(value),
      lease,
    })
    const more = beside === undefined ? [] : [{...beside, lease}]
    const mark = (queue: QueueKeys): {key: string; value: string}[] => {
      const key = markKeyOf(queue, lease)
      return key === undefined ? [] : [{key, value: markValue(lease)}]
    }
    return this.#request('enqueue', signal, () => {
      const others = queues.flatMap(({queuePrefix}) => this.etcd.under(queuePrefix))
      const isRepeated = this.etcd.get(keyIn(queues[0])) !== undefined
      const isBusy = others.length > 0
      const firstMissing = queues.findIndex((queue) => this.etcd.get(keyIn(queue)) === undefined)
      if (firstMissing >= 0 && queues.slice(firstMissing).some((queue) => this.etcd.get(keyIn(queue))))
        throw new LeaseGone()
      if (!isRepeated && !(isBusy && onlyIfNobody)) {
        if (!this.etcd.hasLease(lease)) throw new LeaseGone()
        if (isBusy) this.etcd.put(ticket(queues[0]), ...more)
        else this.etcd.put(...queues.flatMap((queue) => [ticket(queue), ...mark(queue)]), ...more)
      }
      const views = queues.flatMap((queue) => {
        const own = this.etcd.get(keyIn(queue))
        return own ? [this.#view({key: own.key, lease, createRevision: own.createRevision}, queue)] : []
      })
      return views.length > 0 ? views : [{...aheadOf(others[0]), revision: this.etcd.revision}]
    })
  }

  look(ticket: Ticket, keys: QueueKeys, signal: AbortSignal): Promise<QueueView> {
    return this.#request('look', signal, () => this.#view(ticket, keys))
  }

  peek(
    ticket: Ticket,
    queuePrefix: string,
    signal: AbortSignal,
  ): Promise<{ahead: number; first?: TicketAhead}> {
    return this.#request('peek', signal, () => {
      const before = this.#before(ticket, queuePrefix)
      const {ahead: first} = aheadOf(before[0])
      return {ahead: before.length, ...(first && {first})}
    })
  }

  async renew(
    tickets: readonly [Ticket, ...Ticket[]],
    {attemptMs}: {attemptMs: number; hedgeAfterMs: number},
    signal: AbortSignal,
  ): Promise<RenewalEvidence> {
    signal.throwIfAborted()
    const sentAtMs = this.#clock.elapsedMs()
    if (this.unreachable === 'silent') await this.#clock.sleepUntil(sentAtMs + attemptMs, signal)
    if (this.unreachable !== undefined) throw new RenewalFailed(this.#fail(this.unreachable))
    await this.#travel(this.latency.thereMs, signal)
    this.arrived.push('renew')
    const {term} = this.etcd
    const [{lease}] = tickets
    const evidence = {
      sentAtMs,
      ttlMs: this.deposed ? this.etcd.ttlOf(lease) : this.etcd.keepAlive(lease),
      keepAliveTerm: this.deposed ? term - 1n : term,
      readTerm: term,
      createRevisions: tickets.map(({key}) => this.etcd.get(key)?.createRevision),
    }
    await this.#answer('renew', signal)
    return evidence
  }

  declareHold(
    holds: readonly {ticket: Ticket; markKey: string}[],
    value: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    return this.#request('declareHold', signal, () => {
      if (!holds.every(({ticket}) => this.#isThere(ticket))) return false
      const puts = holds.map(({ticket: {key, lease}, markKey}) => [
        {key: markKey, value: markValue(lease)},
        ...(value === undefined ? [] : [{key, value, lease}]),
      ])
      this.etcd.put(...puts.flat())
      return true
    })
  }

  proclaim(ticket: Ticket, value: Uint8Array, signal: AbortSignal): Promise<boolean> {
    let tries = 0
    return this.#request('proclaim', signal, () => {
      if (!this.#isThere(ticket)) return false
      const {key, lease} = ticket
      const isRepeated = tries++ > 0 && this.etcd.get(key)?.value === textOf(value)
      if (!isRepeated) this.etcd.put({key, value: textOf(value), lease})
      return true
    })
  }

  dequeue(holds: readonly Dequeue[], signal: AbortSignal): Promise<'removed' | 'gone' | 'unknown'> {
    let tries = 0
    return this.#request('dequeue', signal, () => {
      tries++
      const areThere = holds.every(({ticket}) => this.#isThere(ticket))
      const isOwnMark = (mark: string, {lease}: Ticket): boolean =>
        this.etcd.get(mark)?.value === markValue(lease)
      const removed = holds.flatMap(({ticket, markKey, settled = []}) => {
        const mark = markKey === undefined ? [] : [markKey]
        if (this.#isThere(ticket)) return [ticket.key, ...mark, ...settled]
        return mark.filter((key) => isOwnMark(key, ticket))
      })
      this.etcd.remove(...removed)
      if (areThere) return 'removed'
      return tries > 1 ? 'unknown' : 'gone'
    })
  }

  unmark(lease: LeaseId, markKeys: readonly string[], signal: AbortSignal): Promise<void> {
    return this.#request('unmark', signal, () => {
      const made = markKeys.filter((key) => {
        const mark = this.etcd.get(key)
        return mark?.value === markValue(lease) && mark.version === 1
      })
      this.etcd.remove(...made)
    })
  }

  revoke(lease: LeaseId, signal: AbortSignal): Promise<void> {
    return this.#request('revoke', signal, () => this.etcd.revoke(lease))
  }

  deletion(key: string, afterRevision: Revision, signal: AbortSignal): Promise<'deleted' | 'unknown'> {
    return this.#deletion((one) => one === key, afterRevision, signal)
  }

  anyDeletion(
    queuePrefix: string,
    afterRevision: Revision,
    signal: AbortSignal,
  ): Promise<'deleted' | 'unknown'> {
    return this.#deletion((one) => one.startsWith(queuePrefix), afterRevision, signal)
  }

  async #deletion(
    isMeant: (key: string) => boolean,
    afterRevision: Revision,
    signal: AbortSignal,
  ): Promise<'deleted' | 'unknown'> {
    await this.#reach(signal)
    this.arrived.push('deletion')
    signal.throwIfAborted()
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        end()
        reject(signal.reason as Error)
      }
      signal.addEventListener('abort', onAbort, {once: true})
      const end = this.etcd.watch(isMeant, afterRevision, (seen) => {
        signal.removeEventListener('abort', onAbort)
        this.#reach(signal).then(() => resolve(seen), reject)
      })
    })
  }

  /** One request, repeated until its answer comes. */
  async #request<T>(method: FakeMethod, signal: AbortSignal, handle: (sentAtMs: number) => T): Promise<T> {
    for (;;) {
      await this.#reach(signal)
      const sentAtMs = this.#clock.elapsedMs()
      await this.#travel(this.latency.thereMs, signal)
      this.arrived.push(method)
      const answer = handle(sentAtMs)
      const lost = this.#lost.indexOf(method)
      if (lost < 0 && this.unreachable === undefined) {
        await this.#answer(method, signal)
        return answer
      }
      if (lost >= 0) this.#lost.splice(lost, 1)
      this.#fail('the answer was lost')
      await this.#travel(fakeRetryMs, signal)
    }
  }

  async #reach(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    while (this.unreachable !== undefined) {
      this.#fail(this.unreachable)
      await this.#travel(fakeRetryMs, signal)
    }
  }

  async #answer(method: FakeMethod, signal: AbortSignal): Promise<void> {
    await this.#travel(this.latency.backMs, signal)
    const gate = this.#gates.get(method)
    if (gate !== undefined) await unlessAborted(gate, signal)
    signal.throwIfAborted()
  }

  async #travel(ms: number, signal: AbortSignal): Promise<void> {
    if (ms > 0) await this.#clock.sleepUntil(this.#clock.elapsedMs() + ms, signal)
  }

  #fail(why: string): string {
    this.lastFailure = `fake: ${why}`
    return this.lastFailure
  }

  #isThere(ticket: Ticket): boolean {
    return this.etcd.get(ticket.key)?.createRevision === ticket.createRevision
  }

  #before(ticket: Ticket, queuePrefix: string): FakeKey[] {
    return this.etcd.under(queuePrefix).filter((one) => one.createRevision < ticket.createRevision)
  }

  #view(ticket: Ticket, {queuePrefix, markKey, besideMarks, mode}: QueueKeys): QueueView {
    const others = this.etcd.under(queuePrefix).filter(({key}) => key !== ticket.key)
    const marks =
      besideMarks === undefined ? [] : this.etcd.under(besideMarks).map(({key}) => besideMark(key))
    return {
      ...(this.#isThere(ticket) && {own: ticket}),
      ...(mode === undefined || mode.kind === 'exclusive'
        ? aheadOf(this.#before(ticket, queuePrefix).at(-1))
        : {others: others.map(ticketAhead)}),
      ...this.#markOf(markKey),
      ...(marks.length > 0 && {besideMarks: marks}),
      revision: this.etcd.revision,
    }
  }

  #markOf(markKey: string | undefined): {markRevision?: Revision} {
    const mark = markKey === undefined ? undefined : this.etcd.get(markKey)
    return mark ? {markRevision: mark.createRevision} : {}
  }
}

function textOf(value: string | Uint8Array): string {
  return typeof value === 'string' ? value : new TextDecoder().decode(value)
}

function aheadOf(found: FakeKey | undefined): {ahead?: TicketAhead} {
  return found === undefined ? {} : {ahead: ticketAhead(found)}
}

function ticketAhead({key, createRevision, value}: FakeKey): TicketAhead {
  return {key, createRevision, ...readTicket(value)}
}

function unlessAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    promise.then(resolve, reject)
    signal.addEventListener('abort', () => reject(signal.reason as Error), {once: true})
  })
}
