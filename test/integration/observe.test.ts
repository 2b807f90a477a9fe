import {describe, expect, test} from 'vitest'
import type {QueueReading, Step} from '../../src/lib/core/observation.ts'
import {type Observed, observe} from '../../src/lib/core/observer.ts'
import {EtcdStore} from '../../src/lib/etcd/etcdStore.ts'
import {systemClock} from '../../src/lib/systemClock.ts'
import {EtcdCluster} from '../support/EtcdCluster.ts'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {call, compact, deleteKey, put, status} from '../support/etcdGateway.ts'
import {until} from '../support/wait.ts'

const queuePrefix = 'leash/election/api/'
const first = `${queuePrefix}1`
const second = `${queuePrefix}2`

class Store extends EtcdStore {
  /** How often a queue was read as a whole: at the start, and after a compaction. */
  wholeReadings = 0

  override async readQueue(
    ...[prefix, part, signal]: Parameters<EtcdStore['readQueue']>
  ): Promise<QueueReading> {
    const reading = await super.readQueue(prefix, part, signal)
    if (part === 'all') this.wholeReadings++
    return reading
  }
}

/** An observer in this process. `await using` ends it. */
class Observing implements AsyncDisposable {
  readonly news: Observed[] = []
  readonly store: Store
  readonly #control = new AbortController()
  readonly #end: Promise<unknown>

  constructor(urls: readonly [string, ...string[]], staleAfterMs = 60_000) {
    const clock = systemClock()
    this.store = new Store(urls, clock)
    const tell = (news: Observed): number => this.news.push(news)
    const observation = {queuePrefix, connectTimeoutMs: 10_000, staleAfterMs}
    this.#end = observe(observation, {reader: this.store, clock, tell}, this.#control.signal).catch(
      (error: unknown) => error,
    )
  }

  /** `elected VALUE`, `vacant` and so on. */
  get told(): string[] {
    return this.news.map((news) =>
      'ticket' in news ? `${news.kind} ${Buffer.from(news.ticket.value).toString()}` : news.kind,
    )
  }

  async tells(what: string, withinMs = 20_000): Promise<void> {
    await until(`the observer to tell ${what}`, () => this.told.includes(what), {
      withinMs,
      detail: () => this.told.join('\n'),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#control.abort()
    await this.#end
    this.store.close()
  }
}

const compactAll = async (etcd: EtcdServer): Promise<void> =>
  compact(etcd.url, (await status(etcd.url)).revision)

describe.each<EtcdVersion>(['3.4', '3.5'])('an observer of a queue on etcd %s', (version) => {
  test('tells elections, proclaims and vacancies, and goes on after cut connections', async () => {
    await using etcd = await EtcdServer.start({version})
    await using link = await TcpProxy.to(etcd)
    await using observing = new Observing([link.url])
    await observing.tells('vacant')
    await put(etcd.url, first, 'a')
    await put(etcd.url, second, 'b')
    await observing.tells('elected a')
    link.reset()
    await put(etcd.url, first, 'a2')
    await put(etcd.url, second, 'b2')
    await deleteKey(etcd.url, first)
    await link.heal()
    await observing.tells('elected b2')
    link.dropConnections()
    await deleteKey(etcd.url, second)
    await until('the vacancy', () => observing.told.at(-1) === 'vacant', {withinMs: 20_000})
    expect(observing.told).toEqual(['vacant', 'elected a', 'proclaimed a2', 'elected b2', 'vacant'])
  })

  test('tells only the difference after a compaction, and that some changes may be missing', async () => {
    await using etcd = await EtcdServer.start({version})
    await using link = await TcpProxy.to(etcd)
    await put(etcd.url, first, 'a')
    await using observing = new Observing([link.url])
    await observing.tells('elected a')
    link.reset()
    await put(etcd.url, first, 'a2')
    await put(etcd.url, first, 'a3')
    await compactAll(etcd)
    await link.heal()
    await observing.tells('proclaimed a3')
    link.reset()
    await put(etcd.url, 'elsewhere', 'x')
    await put(etcd.url, 'elsewhere', 'y')
    await compactAll(etcd)
    await link.heal()
    await until('a reading', () => observing.store.wholeReadings === 3, {withinMs: 20_000})
    await put(etcd.url, first, 'a4')
    await observing.tells('proclaimed a4')
    expect(observing.told).toEqual(['elected a', 'gap', 'proclaimed a3', 'proclaimed a4'])
  })

  test('tells of a leader that left at the very revision that was compacted, while the connection was cut', async () => {
    await using etcd = await EtcdServer.start({version})
    await using link = await TcpProxy.to(etcd)
    await put(etcd.url, first, 'a')
    await using observing = new Observing([link.url])
    await observing.tells('elected a')
    link.reset()
    await deleteKey(etcd.url, first)
    await compactAll(etcd)
    await link.heal()
    await observing.tells('vacant', 10_000)
    expect(observing.told).toEqual(['elected a', 'gap', 'vacant'])
  })

  test('misses nothing of more than gRPC takes at once', async () => {
    await using etcd = await EtcdServer.start({version})
    await using link = await TcpProxy.to(etcd)
    await put(etcd.url, first, 'a')
    await using observing = new Observing([link.url])
    await observing.tells('elected a')
    link.reset()
    const values = Array.from({length: 8}, (_, index) => `${index}`.repeat(1_000_000))
    for (const value of values) await put(etcd.url, first, value)
    await link.heal()
    await until('all values', () => observing.told.length === 9, {withinMs: 20_000})
    expect(observing.told).toEqual(['elected a', ...values.map((value) => `proclaimed ${value}`)])
  })

  test('tells of a transaction what is true after it', async () => {
    await using etcd = await EtcdServer.start({version})
    await put(etcd.url, first, 'a')
    await using observing = new Observing([etcd.url])
    await observing.tells('elected a')
    const [one, other] = [first, second].map((key) => Buffer.from(key).toString('base64'))
    const value = Buffer.from('b').toString('base64')
    const success = [{request_delete_range: {key: one}}, {request_put: {key: other, value}}]
    await call(etcd.url, '/v3/kv/txn', {success})
    await observing.tells('elected b')
    expect(observing.told).toEqual(['elected a', 'elected b'])
  })

  test('says that what it told may be stale while etcd is silent, and no longer when it answers', async () => {
    await using etcd = await EtcdServer.start({version})
    await using link = await TcpProxy.to(etcd)
    await put(etcd.url, first, 'a')
    await using observing = new Observing([link.url], 2000)
    await observing.tells('elected a')
    link.blackhole()
    await put(etcd.url, first, 'b')
    await observing.tells('stale')
    await link.heal('reset')
    await observing.tells('fresh')
    expect(observing.told).toEqual(['elected a', 'stale', 'proclaimed b', 'fresh'])
  })

  test('hears of changes through another member when the watch has a dead one', async () => {
    await using cluster = await EtcdCluster.start({version})
    const [near, other] = await cluster.followers()
    if (near === undefined || other === undefined) throw new Error('no followers')
    await using link = await TcpProxy.to(near)
    await put(other.url, first, 'a')
    await using observing = new Observing([link.url, other.url], 3000)
    await observing.tells('elected a')
    link.blackhole()
    await put(other.url, first, 'b')
    await observing.tells('proclaimed b')
    expect(observing.told.filter((news) => news !== 'stale' && news !== 'fresh')).toEqual([
      'elected a',
      'proclaimed b',
    ])
  })
})

test('a revision arrives whole, also where etcd splits it into fragments', async () => {
  await using etcd = await EtcdServer.start({version: '3.5'})
  const keys = Array.from({length: 100}, (_, index) => `${queuePrefix}${index}`)
  const begin = BigInt((await status(etcd.url)).revision)
  for (let round = 0; round < 30; round++) {
    const value = Buffer.from(`${round} `.repeat(500)).toString('base64')
    const success = keys.map((key) => ({request_put: {key: Buffer.from(key).toString('base64'), value}}))
    await call(etcd.url, '/v3/kv/txn', {success})
  }
  const store = new EtcdStore([etcd.url], systemClock())
  const control = new AbortController()
  const steps: Step[] = []
  const following = store.follow(queuePrefix, begin, (step) => steps.push(step), control.signal)
  await until('all revisions', () => steps.length === 30, {withinMs: 10_000})
  control.abort('done')
  await expect(following).rejects.toBe('done')
  store.close()
  expect(steps.map(({events}) => events.length)).toEqual(steps.map(() => 100))
  expect(steps.map(({revision}) => revision)).toEqual(steps.map((_, index) => begin + BigInt(index) + 1n))
})
