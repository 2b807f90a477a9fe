import {once} from 'node:events'
import {RpcError, type Api, type Message} from '../support/EtcdApi.ts'
import {until, within} from '../support/wait.ts'
import type {Operation} from './operations.ts'
import {leaseSymbol, toNormalForm, toRequest, type Meaning} from './symbols.ts'
import {WatchStream, type Watch} from './WatchStream.ts'

/** What one operation was answered, or what one watch was told, in normal form. */
export interface Line {
  readonly subject: string
  readonly said: unknown
}

/** What must be the same for each target. */
export interface Setting {
  /** Nobody else's keys begin with it. */
  readonly prefix: string
  /** This and the next three are nobody else's leases. */
  readonly leaseBase: bigint
}

const unary = {
  range: 'KV.Range',
  put: 'KV.Put',
  deleteRange: 'KV.DeleteRange',
  txn: 'KV.Txn',
  grant: 'Lease.LeaseGrant',
  revoke: 'Lease.LeaseRevoke',
  timeToLive: 'Lease.LeaseTimeToLive',
  leases: 'Lease.LeaseLeases',
}

/** The shortest TTL with etcd's default timing, and much time for a busy machine. */
const expiryMs = 30_000
const answerMs = 15_000

/**
 * Plays a sequence against one target, one operation after the other, and takes away what it left there. Keys of others may not
 * change meanwhile: revisions are compared.
 *
 * @returns a line for each operation, then one for each watch
 */
export const play = async (api: Api, sequence: readonly Operation[], setting: Setting): Promise<Line[]> => {
  const player = await Player.start(api, setting)
  try {
    const lines: Line[] = []
    for (const operation of sequence)
      lines.push({subject: JSON.stringify(operation), said: await player.answer(operation)})
    return [...lines, ...(await player.watched())]
  } finally {
    await player.cleanUp()
  }
}

class Player {
  readonly #api: Api
  readonly #meaning: Meaning
  readonly #streams = new Map<number, WatchStream>()
  readonly #watches: Watch[] = []
  readonly #leases = new Set<string>()
  #revision: bigint

  private constructor(api: Api, meaning: Meaning) {
    this.#api = api
    this.#meaning = meaning
    this.#revision = meaning.startRevision
  }

  static async start(api: Api, setting: Setting): Promise<Player> {
    const {header} = await api.call('KV.Range', {key: Buffer.from(setting.prefix)})
    const startRevision = BigInt((header as {revision: string}).revision)
    return new Player(api, {...setting, startRevision})
  }

  async answer(operation: Operation): Promise<unknown> {
    try {
      return this.#normal(await this.#perform(operation))
    } catch (error) {
      if (error instanceof RpcError) return error.message
      throw new Error(`${JSON.stringify(operation)}: ${(error as Error).message}`, {cause: error})
    }
  }

  #perform(operation: Operation): Promise<Message> {
    switch (operation.rpc) {
      case 'watch':
        return this.#watch(operation.stream, this.#request(operation.request))
      case 'cancel':
        return this.#cancel(operation.nth)
      case 'expire':
        return this.#expire(operation.lease)
      case 'keepAlive':
        return this.#keepAlive(this.#request(operation.request))
      case 'timeToLive':
        return this.#timeToLive(this.#request(operation.request))
      case 'leases':
        return this.#leaseList()
      case 'grant':
        return this.#grant(this.#request(operation.request))
      case 'range':
      case 'put':
      case 'deleteRange':
      case 'txn':
      case 'revoke':
        return this.#call(operation.rpc, this.#request(operation.request))
    }
  }

  #request(symbolic: Message): Message {
    return toRequest(symbolic, this.#meaning)
  }

  #normal(answer: Message): Message {
    return toNormalForm(answer, this.#meaning)
  }

  async #call(rpc: keyof typeof unary, request: Message): Promise<Message> {
    const answer = await this.#api.call(unary[rpc], request)
    const revision = BigInt((answer.header as {revision: string}).revision)
    if (revision > this.#revision) this.#revision = revision
    return answer
  }

  async #grant(request: Message): Promise<Message> {
    const answer = await this.#call('grant', request)
    this.#leases.add(answer.ID as string)
    return answer
  }

  async #keepAlive(request: Message): Promise<Message> {
    const stream = this.#api.stream('Lease.LeaseKeepAlive')
    try {
      const first = once(stream, 'data') as Promise<[Message]>
      stream.write(request)
      const [answer] = await within('a keep-alive to be answered', first, {withinMs: answerMs})
      return answer
    } catch (error) {
      throw error instanceof Error && 'details' in error ? new RpcError(error as never) : error
    } finally {
      stream.on('error', () => undefined)
      stream.cancel()
    }
  }

  /** The keys are in no order: etcd keeps them in a map. What is left of the TTL depends on when it is asked. */
  async #timeToLive(request: Message): Promise<Message> {
    const answer = await this.#call('timeToLive', request)
    const [left, granted] = [Number(answer.TTL), Number(answer.grantedTTL)]
    const hasMuch = left <= granted && left > granted - 60 && left >= 0
    const keys = (answer.keys as Buffer[]).map((key) => ({key})).sort((a, b) => a.key.compare(b.key))
    return {...answer, keys, TTL: hasMuch ? 'not run out' : answer.TTL}
  }

  /** Ordered by what is left of them, which is not in the answer, so here by name. Those that others granted are not counted. */
  async #leaseList(): Promise<Message> {
    const answer = await this.#call('leases', {})
    const own = (answer.leases as {ID: string}[]).filter(({ID}) => this.#leases.has(ID))
    return {...answer, leases: own.map(({ID}) => String(leaseSymbol(BigInt(ID), this.#meaning))).sort()}
  }

  async #expire(lease: number): Promise<Message> {
    const {ID} = this.#request({ID: lease})
    const granted = await this.#grant({ID, TTL: '1'})
    const [one, other] = ['~/a', '~/ab'].map((key) => this.#request({key, lease, value: 'leased'}))
    const put = await this.#call('put', one ?? {})
    await this.#call('put', other ?? {})
    const gone = await until(
      'a lease to run out',
      async () => {
        const answer = await this.#call('range', {...other, lease: undefined})
        return answer.count === '0' && answer
      },
      {withinMs: expiryMs, everyMs: 25},
    )
    return {granted, put, gone, left: await this.#timeToLive({ID, keys: true})}
  }

  async #watch(number: number, request: Message): Promise<Message> {
    const stream = this.#streams.get(number) ?? new WatchStream(this.#api)
    this.#streams.set(number, stream)
    const before = stream.watches.length
    const answer = await stream.create(request)
    this.#watches.push(...stream.watches.slice(before))
    return answer
  }

  /** Once all before was told: what is on its way when a watch is cancelled may come or not. */
  async #cancel(nth: number): Promise<Message> {
    const open = this.#watches.filter(({isOpen}) => isOpen)
    const watch = open[nth % Math.max(1, open.length)]
    const stream = [...this.#streams.values()].find(({watches}) => watch && watches.includes(watch))
    if (watch === undefined || stream === undefined) return {none: 'open'}
    await this.#tellAll(stream)
    await stream.cancel(watch)
    return {cancelled: this.#watches.indexOf(watch)}
  }

  /**
   * A server proves nothing about a watch that has not begun, so what is written here lets each begin. One write at least makes a
   * revision that no earlier proof can name.
   */
  async #tellAll(stream: WatchStream): Promise<void> {
    if (stream.open.length === 0) return
    const begun = stream.open.reduce(
      (last, {startRevision}) => (startRevision > last ? startRevision : last),
      0n,
    )
    do await this.#call('put', this.#request({key: '~/filler', value: ''}))
    while (this.#revision < begun)
    await stream.toldUpTo(this.#revision)
  }

  /** What each watch was told until now, in the order of their creation. */
  async watched(): Promise<Line[]> {
    for (const stream of this.#streams.values()) await this.#tellAll(stream)
    return this.#watches.map(({id, told}, index) => ({
      subject: `watch ${index}, whose id is ${id}`,
      said: told.map((message) => this.#normal(message)),
    }))
  }

  async cleanUp(): Promise<void> {
    for (const stream of this.#streams.values()) stream[Symbol.dispose]()
    for (const ID of this.#leases)
      await this.#api.call('Lease.LeaseRevoke', {ID}).catch((error: unknown) => {
        if (!(error instanceof RpcError && error.code === 'NOT_FOUND')) throw error
      })
    await this.#api.call('KV.DeleteRange', this.#request({key: '~/', range_end: '~0'}))
  }
}
