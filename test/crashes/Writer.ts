import {RpcError, type EtcdApi, type Message} from '../support/EtcdApi.ts'

/** Its keys and their values, and whether its lease is there. */
export interface State {
  readonly values: ReadonlyMap<string, string>
  readonly hasLease: boolean
}

/** A change and what it is called in a report. */
interface Step {
  readonly what: string
  readonly rpc: string
  readonly request: Message
  readonly after: State
}

interface Kv {
  readonly key: Buffer
  readonly value: Buffer
  readonly mod_revision: string
}

const plain = ['one', 'two', 'three', 'four']
const leased = ['leased one', 'leased two']
/** Never runs out in a run. */
const ttlS = '100000'

/** Some values are so big that a server tidies up what it wrote while it is under load, and is killed at that, too. */
const bigShare = 0.3
const padding = '.'.repeat(200_000)

/** A value as a report shows it. */
const brief = (value: string | undefined): string => String(value).replace(/\.+$/, '...')

const ofWriter = (id: number): string => `crashes/${id}/`

const bytes = (text: string): Buffer => Buffer.from(text)

/**
 * One client that changes its own few keys, one change after the other, through a connection of its own, and knows of each
 * whether it was acknowledged.
 */
export class Writer {
  readonly #prefix: string
  readonly #lease: string
  #state: State = {values: new Map(), hasLease: false}
  /** What the change without an answer would lead to. */
  #attempted: {readonly what: string; readonly after: State} | undefined
  #acknowledged = 0
  #revision = 0n
  #counter = 0
  readonly #modRevisions = new Map<string, string>()

  constructor(id: number) {
    this.#prefix = ofWriter(id)
    this.#lease = String(1_000_000 + id)
  }

  /** Changes that were acknowledged, in all. */
  get acknowledged(): number {
    return this.#acknowledged
  }

  /** The newest revision that any answer named. */
  get revision(): bigint {
    return this.#revision
  }

  /** Changes one thing after the other until the connection breaks. @throws what is not a broken connection */
  async writeUntilBroken(api: EtcdApi): Promise<void> {
    try {
      for (;;) {
        const step = this.#next()
        this.#attempted = step
        const answer = await api.call(step.rpc, step.request)
        this.#acknowledge(step, answer)
      }
    } catch (error) {
      if (error instanceof RpcError && ['UNAVAILABLE', 'CANCELLED'].includes(error.code)) return
      throw new Error(`${this.#prefix} ${this.#attempted?.what}: ${(error as Error).message}`, {cause: error})
    }
  }

  #acknowledge({after}: Step, answer: Message): void {
    const {revision} = answer.header as {revision: string}
    this.#attempted = undefined
    this.#acknowledged++
    if (BigInt(revision) > this.#revision) this.#revision = BigInt(revision)
    for (const [key, value] of after.values)
      if (this.#state.values.get(key) !== value) this.#modRevisions.set(key, revision)
    for (const key of this.#modRevisions.keys()) if (!after.values.has(key)) this.#modRevisions.delete(key)
    this.#state = after
  }

  /** Puts, deletes, transactions on two keys, and leases with two keys that are revoked again. */
  #next(): Step {
    const {values, hasLease} = this.#state
    const value = `${++this.#counter}${Math.random() < bigShare ? padding : ''}`
    const pick = <T>(all: readonly T[]): T => all[Math.floor(Math.random() * all.length)] as T
    const draw = Math.random()
    const withValues = (changes: Iterable<[string, string]>): State => ({
      values: new Map([...values, ...changes]),
      hasLease,
    })
    const without = (keys: readonly string[]): ReadonlyMap<string, string> =>
      new Map([...values].filter(([key]) => !keys.includes(key)))
    if (draw < 0.3 && !hasLease)
      return {
        what: 'grant',
        rpc: 'Lease.LeaseGrant',
        request: {ID: this.#lease, TTL: ttlS},
        after: {values, hasLease: true},
      }
    if (draw < 0.05)
      return {
        what: 'revoke',
        rpc: 'Lease.LeaseRevoke',
        request: {ID: this.#lease},
        after: {values: without(leased), hasLease: false},
      }
    if (draw < 0.3 && hasLease) {
      const success = leased.map((key) => ({request_put: this.#put(key, value, this.#lease)}))
      const after = withValues(leased.map((key) => [key, value]))
      return {what: 'put leased keys', rpc: 'KV.Txn', request: {success}, after}
    }
    const key = pick(plain)
    if (draw < 0.5 && values.has(key))
      return {
        what: `delete ${key}`,
        rpc: 'KV.DeleteRange',
        request: {key: bytes(this.#prefix + key)},
        after: {values: without([key]), hasLease},
      }
    if (draw < 0.6) {
      const pair = plain.slice(0, 2)
      const success = pair.map((each) => ({request_put: this.#put(each, value)}))
      return {
        what: 'put two',
        rpc: 'KV.Txn',
        request: {success},
        after: withValues(pair.map((each) => [each, value])),
      }
    }
    return {
      what: `put ${key}`,
      rpc: 'KV.Put',
      request: this.#put(key, value),
      after: withValues([[key, value]]),
    }
  }

  #put(key: string, value: string, lease = '0'): Message {
    return {key: bytes(this.#prefix + key), value: bytes(value), lease}
  }

  /**
   * Compares what is there after a restart with what was acknowledged; the one change without an answer may have happened, as
   * a whole. Goes on from what is there.
   *
   * @param newest the newest revision that any writer was told
   * @returns what is wrong
   */
  async judge(api: EtcdApi, newest: bigint): Promise<string[]> {
    const range = {key: bytes(this.#prefix), range_end: bytes(this.#prefix.replace(/\/$/, '0'))}
    const answer = await api.call('KV.Range', range)
    const lease = await api.call('Lease.LeaseTimeToLive', {ID: this.#lease})
    const kvs = (answer.kvs as readonly Kv[]).map((kv) => ({
      ...kv,
      key: kv.key.toString().slice(this.#prefix.length),
    }))
    const found: State = {
      values: new Map(kvs.map(({key, value}) => [key, value.toString()])),
      hasLease: lease.TTL !== '-1',
    }
    const {revision} = answer.header as {revision: string}
    const problems = [
      ...(BigInt(revision) < newest ? [`the revision went back from ${newest} to ${revision}`] : []),
      ...this.#problemsWith(found),
      ...kvs
        .filter(({key, value}) => this.#state.values.get(key) === value.toString())
        .filter(({key, mod_revision}) => this.#modRevisions.get(key) !== mod_revision)
        .map(
          ({key, mod_revision}) =>
            `${this.#modRevisions.get(key)} became ${mod_revision}: the revision of ${key}`,
        ),
    ].map((problem) => `${this.#prefix}: ${problem}`)
    this.#state = found
    this.#attempted = undefined
    this.#modRevisions.clear()
    for (const {key, mod_revision} of kvs) this.#modRevisions.set(key, mod_revision)
    if (BigInt(revision) > this.#revision) this.#revision = BigInt(revision)
    return problems
  }

  #problemsWith(found: State): string[] {
    const attempted = this.#attempted
    const possible = [this.#state, ...(attempted ? [attempted.after] : [])]
    if (possible.some((state) => isSame(state, found))) return []
    const told = [...new Set([...found.values.keys(), ...this.#state.values.keys()])]
      .filter((key) => found.values.get(key) !== this.#state.values.get(key))
      .map((key) => {
        const [was, is] = [this.#state.values.get(key), found.values.get(key)]
        if (is === undefined) return `lost ${key} = ${brief(was)}`
        return was === undefined
          ? `back again ${key} = ${brief(is)}`
          : `lost ${key} = ${brief(was)}, there is ${brief(is)}`
      })
    if (found.hasLease !== this.#state.hasLease)
      told.push(found.hasLease ? 'back again the lease' : 'lost the lease')
    return told.map((problem) => `${problem} (without an answer: ${attempted?.what ?? 'nothing'})`)
  }
}

const isSame = (one: State, other: State): boolean =>
  one.hasLease === other.hasLease &&
  one.values.size === other.values.size &&
  [...one.values].every(([key, value]) => other.values.get(key) === value)
