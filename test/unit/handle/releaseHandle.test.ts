import {mkdirSync, rmSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeEach, describe, expect, test} from 'vitest'
import {Clock} from '../../../src/lib/core/clock.ts'
import {checkHandle} from '../../../src/lib/handle/checkHandle.ts'
import type {Handle} from '../../../src/lib/handle/handle.ts'
import {createHandle, readHandle} from '../../../src/lib/handle/handleFile.ts'
import {type HandlePorts, releaseHandle} from '../../../src/lib/handle/releaseHandle.ts'
import {renewHandle} from '../../../src/lib/handle/renewHandle.ts'
import {FakeClock} from '../../support/fakeClock.ts'
import {FakeStore} from '../../support/fakeStore.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {plainHandle} from './someHandle.ts'

/* What later commands do with a handle that has no keeper, on an etcd in memory. */

const root = scratchDirectory('release')
afterAll(() => rmSync(root, {recursive: true}))
const [{key, markKey = ''}] = plainHandle.locks

let time: FakeClock
let store: FakeStore
let ports: HandlePorts
let file: string
let count = 0

/** A handle of a lock that was taken just now. */
const take = (more: Partial<Handle> = {}): void => {
  const {lease, ttlMs} = plainHandle
  store.etcd.grant(lease, ttlMs + (more.lockDelayMs ?? 0))
  store.etcd.put({key, value: '', lease}, {key: markKey, value: '5d3f0c1a'})
  const createRevision = store.etcd.get(key)?.createRevision ?? 0n
  const directory = path.join(root, String(count++))
  mkdirSync(directory)
  file = createHandle(directory, {
    ...plainHandle,
    ...more,
    ttlMs: ttlMs + (more.lockDelayMs ?? 0),
    locks: [{...plainHandle.locks[0], createRevision}],
    sentAtBootMs: time.bootMs(),
  })
}
const handle = (): Handle => readHandle(file, process.geteuid?.() ?? -1)
const release = (): ReturnType<typeof releaseHandle> => time.passing(releaseHandle(handle(), file, ports))
const renew = (): ReturnType<typeof renewHandle> => time.passing(renewHandle(handle(), file, ports))

beforeEach(() => {
  time = new FakeClock()
  const clock = new Clock(time)
  store = new FakeStore(clock)
  const bootTime = (): {bootId: string; bootMs: number} => ({
    bootId: plainHandle.bootId,
    bootMs: time.bootMs(),
  })
  ports = {store, clock, bootTime, connectTimeoutMs: 10_000}
})

describe('release', () => {
  test('takes away ticket, mark and lease; again, it asks nobody', async () => {
    take()
    expect(await release()).toEqual({is: 'sound'})
    expect([store.etcd.under(''), store.etcd.leases]).toEqual([[], []])
    const {length} = store.arrived
    expect(await release()).toEqual({is: 'sound'})
    expect(store.arrived).toHaveLength(length)
  })

  test('is sound when only its answer was lost, as long as nobody else could have taken the ticket away', async () => {
    take()
    store.loseAnswer('dequeue')
    expect(await release()).toEqual({is: 'sound'})
  })

  test('is sound then although a keeper would have had to end what it keeps', async () => {
    const nobody = {pid: 2 ** 30, startTicks: 1}
    take({keeper: {...nobody, guard: nobody, keeps: nobody}})
    // TERM is due after 20 s, and the end of the entitlement after 29.7 s.
    await time.advance(25_000)
    store.loseAnswer('dequeue')
    expect(await release()).toEqual({is: 'sound'})
  })

  test('is not sound when its answer was lost, and somebody else could have taken the ticket away', async () => {
    take()
    await time.advance(29_701)
    store.loseAnswer('dequeue')
    expect(await release()).toMatchObject({is: 'over'})
  })

  test('is not sound when the ticket was gone, and stays so', async () => {
    take()
    store.etcd.remove(key)
    for (let times = 0; times < 2; times++) expect(await release()).toMatchObject({is: 'over'})
    expect(handle().ended).toMatchObject({how: 'lost'})
  })

  test('can be tried again when etcd was away, until it is back', async () => {
    take()
    store.unreachable = 'silent'
    await expect(release()).rejects.toMatchObject({
      code: 'unavailable',
      message: 'etcd does not answer: fake: silent',
    })
    expect(handle().ended).toBeUndefined()
    store.unreachable = undefined
    expect(await release()).toEqual({is: 'sound'})
  })

  test.each<[string, Partial<Handle>]>([
    ['after a loss', {ended: {how: 'lost', reason: 'no answer'}}],
    ['in another boot', {bootId: 'another'}],
  ])('%s is over, and takes the ticket away only if there is no lock-delay', async (_, more) => {
    take({...more, lockDelayMs: 30_000})
    expect(await release()).toMatchObject({is: 'over'})
    expect(store.etcd.get(key)).toBeDefined()
    take(more)
    expect(await release()).toMatchObject({is: 'over'})
    expect(store.etcd.under('')).toEqual([])
  })
})

describe('renew', () => {
  test('counts the life of the lease from when it was sent', async () => {
    take()
    await time.advance(20_000)
    store.latency = {thereMs: 0, backMs: 500}
    const sentAtBootMs = time.bootMs()
    expect(await renew()).toEqual({is: 'sound'})
    expect(handle()).toMatchObject({sentAtBootMs, ttlMs: 30_000})
    expect((await time.passing(checkHandle(handle(), file, 28_500, ports))).held).toBe(true)
  })

  test('finds a ticket gone, notes it, and asks no more', async () => {
    take()
    store.etcd.remove(key)
    expect(await renew()).toMatchObject({is: 'over'})
    const {length} = store.arrived
    expect(await renew()).toMatchObject({is: 'over', reason: expect.stringContaining('gone') as string})
    expect(store.arrived).toHaveLength(length)
  })

  test('asks nobody in another boot', async () => {
    take({bootId: 'another'})
    expect(await renew()).toMatchObject({is: 'over'})
    expect(store.arrived).toEqual([])
  })
})

describe('check', () => {
  test.each([
    [0, 0, true],
    [29_600, 0, true],
    [29_701, 0, false],
    [20_000, 9_000, true],
    [20_000, 10_000, false],
  ])('%i ms after the renewal, for %i ms: %s', async (passedMs, forMs, held) => {
    take()
    // As if etcd counted more slowly than we do.
    store.etcd.revoke(plainHandle.lease)
    store.etcd.put({key, value: ''})
    const [lock] = handle().locks
    const there = {
      ...handle(),
      locks: [{...lock, createRevision: store.etcd.get(key)?.createRevision ?? 0n}] as const,
    }
    await time.advance(passedMs)
    expect((await checkHandle(there, file, forMs, ports)).held).toBe(held)
  })

  test('throws when etcd does not answer: nobody knows', async () => {
    take()
    store.unreachable = 'silent'
    await expect(time.passing(checkHandle(handle(), file, 0, ports))).rejects.toMatchObject({
      code: 'unavailable',
    })
  })
})
