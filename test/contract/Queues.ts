import {type LeaseId, leaseHex} from '../../src/lib/core/identifiers.ts'
import {type LockKeys, lockKeys} from '../../src/lib/core/lockName.ts'
import type {QueueView} from '../../src/lib/core/queue.ts'
import type {Ticket} from '../../src/lib/core/ticket.ts'
import type {SeenKey, Stage} from './storeContract.ts'

/** Several queues side by side, which nobody else uses. */
export class Queues {
  readonly stage: Stage
  readonly all: readonly [LockKeys, ...LockKeys[]]

  constructor(stage: Stage, count = 3) {
    this.stage = stage
    const keysOf = (index: number): LockKeys => lockKeys('contract/', `${stage.keys.name} ${index}`)
    this.all = [keysOf(0), ...Array.from({length: count - 1}, (_, index) => keysOf(index + 1))]
  }

  markKey(index: number): string {
    return this.all[index]?.markKey ?? ''
  }

  ticketKey(index: number, lease: LeaseId): string {
    return `${this.all[index]?.queuePrefix}${leaseHex(lease)}`
  }

  enqueue(lease: LeaseId, {onlyIfNobody = false, queues = this.all} = {}): Promise<readonly QueueView[]> {
    const {store, signal} = this.stage
    return store.enqueue({queues, lease, value: 'value', onlyIfNobody}, signal)
  }

  /** A ticket in each, on one lease. */
  async tickets(): Promise<[Ticket, ...Ticket[]]> {
    const views = await this.enqueue(await this.stage.lease())
    const [first, ...others] = views.flatMap(({own}) => own ?? [])
    if (first === undefined || others.length + 1 < this.all.length)
      throw new Error('not all tickets were put')
    return [first, ...others]
  }

  /** Somebody in this one. */
  async occupy(index: number): Promise<Ticket> {
    const {store, signal} = this.stage
    const queues = [this.all[index] ?? this.all[0]] as const
    const request = {queues, lease: await this.stage.lease(), value: '', onlyIfNobody: false}
    const [view] = await store.enqueue(request, signal)
    if (view?.own === undefined) throw new Error('the ticket was not put')
    return view.own
  }

  holds(tickets: readonly Ticket[]): {ticket: Ticket; markKey: string}[] {
    return tickets.map((ticket, index) => ({ticket, markKey: this.markKey(index)}))
  }

  /** How many tickets are in each. */
  lengths(): Promise<number[]> {
    return this.#each(async ({queuePrefix}) => (await this.#under(queuePrefix)).length)
  }

  /** The value of each one's mark. */
  marks(): Promise<(string | undefined)[]> {
    return this.#each(
      async ({markKey = ''}) => (await this.#under(markKey)).find(({key}) => key === markKey)?.value,
    )
  }

  #each<T>(look: (keys: LockKeys) => Promise<T>): Promise<T[]> {
    return Promise.all(this.all.map(look))
  }

  #under(prefix: string): Promise<SeenKey[]> {
    return this.stage.harness.keysUnder(prefix)
  }
}
