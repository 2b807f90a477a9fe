import {expect, test} from 'vitest'
import {Clock} from '../../../src/lib/core/clock.ts'
import {Lessor, clockGrainMs} from '../../../src/lib/local/lessor.ts'
import type {Event, KeyValue} from '../../../src/lib/local/values.ts'
import {FakeClock} from '../../support/fakeClock.ts'

const kv = (key: string, lease: bigint): KeyValue => ({
  key: Buffer.from(key),
  value: Buffer.alloc(0),
  createRevision: 2,
  modRevision: 2,
  version: 1,
  lease,
})

const putEvent = (key: string, lease = 0n): Event => ({type: 'put', kv: kv(key, lease)})

const newLessor = (contents: Partial<ConstructorParameters<typeof Lessor>[1]> = {}) => {
  const time = new FakeClock()
  return {time, lessor: new Lessor(new Clock(time), {leases: [], keys: [], ...contents})}
}

const keysOf = (lessor: Lessor, id: bigint): string[] | undefined =>
  lessor.remaining(id)?.keys.map((key) => key.toString())

test('a lease is due when its time is over, and never before', async () => {
  const {time, lessor} = newLessor()
  lessor.grant(1n, 3)
  await time.advance(2999)
  expect(lessor.due()).toEqual([])
  await time.advance(1 + clockGrainMs)
  expect(lessor.due()).toEqual([1n])
})

test('a lease is not due before its time where boot time is counted in hundredths', async () => {
  for (let startMs = 0; startMs < 10; startMs++) {
    const time = new FakeClock()
    await time.advance(startMs)
    const coarse = {
      monotonicMs: () => time.monotonicMs(),
      bootMs: () => Math.floor(time.bootMs() / 10) * 10,
      wallMs: () => time.wallMs(),
      schedule: (delayMs: number, wake: () => void) => time.schedule(delayMs, wake),
    }
    const lessor = new Lessor(new Clock(coarse), {leases: [], keys: []})
    lessor.grant(1n, 3)
    await time.advance(2999)
    expect(lessor.due()).toEqual([])
  }
})

test('a lease that was kept alive has its full time again', async () => {
  const {time, lessor} = newLessor()
  lessor.grant(1n, 3)
  await time.advance(2000)
  expect(lessor.keepAlive(1n)).toBe(3)
  await time.advance(2999)
  expect(lessor.due()).toEqual([])
  await time.advance(1 + clockGrainMs)
  expect(lessor.due()).toEqual([1n])
  expect(lessor.keepAlive(2n)).toBe(0)
})

test('leases are due each at its own time, whichever was granted first', async () => {
  const {time, lessor} = newLessor()
  lessor.grant(1n, 10)
  lessor.grant(2n, 3)
  lessor.grant(3n, 5)
  await time.advance(clockGrainMs)
  for (const [afterMs, id] of [[3000, 2n] as const, [2000, 3n] as const, [5000, 1n] as const]) {
    await time.advance(afterMs - 1)
    expect(lessor.due()).toEqual([])
    await time.advance(1)
    expect(lessor.due()).toEqual([id])
    lessor.revoke(id)
  }
})

test('a suspend counts', () => {
  const {time, lessor} = newLessor()
  lessor.grant(1n, 3)
  time.suspend(3000 + clockGrainMs)
  expect(lessor.due()).toEqual([1n])
})

test('the leases that a lessor starts with have their full time', async () => {
  const {time, lessor} = newLessor({leases: [{id: 1n, ttlSeconds: 3}], keys: [kv('a', 1n)]})
  await time.advance(2999)
  expect(lessor.due()).toEqual([])
  expect(keysOf(lessor, 1n)).toEqual(['a'])
  await time.advance(1 + clockGrainMs)
  expect(lessor.due()).toEqual([1n])
})

test('a lease that was granted is granted once, for 2 s at least', () => {
  const {lessor} = newLessor()
  expect(lessor.grant(-1n, 1)).toEqual({id: -1n, ttlSeconds: 2})
  expect(() => lessor.grant(-1n, 5)).toThrow('lease already exists')
  expect(() => lessor.grant(2n, 9_000_000_001)).toThrow('too large lease TTL')
  expect(lessor.grant(0n, 5).id).toBeGreaterThan(0n)
  expect(lessor.count).toBe(2)
})

test('what is left of a lease is said in whole seconds, rounded down', async () => {
  const {time, lessor} = newLessor()
  lessor.grant(1n, 10)
  await time.advance(1)
  expect(lessor.remaining(1n)).toEqual({ttlSeconds: 10, leftSeconds: 9, keys: []})
  expect(lessor.remaining(2n)).toBeUndefined()
})

test('a key is on the lease of its last put, and on none when it is deleted', () => {
  const {lessor} = newLessor()
  lessor.grant(1n, 10)
  lessor.grant(2n, 10)
  lessor.follow([putEvent('b', 1n), putEvent('a', 1n), putEvent('c', 1n)])
  lessor.follow([putEvent('a', 2n), putEvent('c'), {type: 'delete', kv: kv('none', 0n)}])
  expect([keysOf(lessor, 1n), keysOf(lessor, 2n)]).toEqual([['b'], ['a']])
  lessor.follow([{type: 'delete', kv: kv('b', 0n)}])
  expect(keysOf(lessor, 1n)).toEqual([])
})

test('a lease that is revoked is gone, and says which keys go with it, in order', () => {
  const {lessor} = newLessor()
  lessor.grant(1n, 10)
  lessor.follow([putEvent('b', 1n), putEvent('a', 1n)])
  expect(lessor.revoke(1n).map(String)).toEqual(['a', 'b'])
  expect(() => lessor.revoke(1n)).toThrow('requested lease not found')
  expect(lessor.all()).toEqual([])
})

test('the leases are in the order in which they expire', async () => {
  const {time, lessor} = newLessor()
  for (const id of [1n, 2n, 3n]) lessor.grant(id, 10)
  await time.advance(1000)
  lessor.keepAlive(1n)
  lessor.grant(4n, 5)
  expect(lessor.all().map(({id}) => id)).toEqual([4n, 2n, 3n, 1n])
})
