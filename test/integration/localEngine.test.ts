import type {ITxnResponse, IWatchResponse} from 'etcd3'
import {existsSync, mkdirSync, rmSync, statSync, symlinkSync} from 'node:fs'
import path from 'node:path'
import {expect, test} from 'vitest'
import {Clock} from '../../src/lib/core/clock.ts'
import type {Member} from '../../src/lib/etcd/member.ts'
import {type Engine, serveStorage} from '../../src/lib/local/engine.ts'
import {clockGrainMs} from '../../src/lib/local/lessor.ts'
import {systemClock} from '../../src/lib/systemClock.ts'
import {FakeClock} from '../support/fakeClock.ts'
import {MemoryDisk} from '../support/memoryStorage.ts'
import {until, within} from '../support/wait.ts'
import {newDirectory, clientOf, stopping, start, put, read, grant, keepAlive} from './inTestEngine.ts'

const {signal} = new AbortController()
const bound = {withinMs: 10_000}

test('an engine that starts again has what it had acknowledged, under a later term', async () => {
  const directory = newDirectory()
  const first = await start(directory)
  const member = clientOf(path.join(directory, 'socket'))
  await grant(member, '77', 60)
  const before = await put(member, 'a', '77')
  await first.stop()
  await start(directory)
  const after = await until('the engine to answer', () => read(member, 'a').catch(() => undefined), bound)
  expect(after.kvs[0]).toMatchObject({value: Buffer.from('value'), lease: '77'})
  expect(after.header.revision).toBe(before.header.revision)
  expect(BigInt(after.header.raft_term)).toBeGreaterThan(BigInt(before.header.raft_term))
  expect(await keepAlive(member, '77')).toBe(60)
})

test('a watch from the last revision on is told of it by the engine that starts after it', async () => {
  const directory = newDirectory()
  const member = clientOf(path.join(directory, 'socket'))
  let engine = await start(directory)
  await put(member, 'a')
  await put(member, 'b')
  const change = {
    compare: [],
    success: [
      {request_put: {key: Buffer.from('a'), value: Buffer.from('new')}},
      {request_delete_range: {key: Buffer.from('b')}},
    ],
    failure: [],
  }
  const {header} = await member.unary<ITxnResponse>('KV', 'txn', change, signal)
  // The second one begins with what the first one wrote for itself.
  for (const grants of [1, 0]) {
    await engine.stop()
    engine = await start(directory)
    await until('the engine to answer', () => read(member, 'a').catch(() => undefined), bound)
    for (let id = 0; id < grants; id++) await grant(member, '77', 60)
  }
  const told: string[] = []
  const onAnswer = ({canceled, events}: IWatchResponse): boolean => {
    told.push(
      ...(canceled ? ['cancelled'] : []),
      ...events.map(({type, kv}) => `${type} ${kv.key.toString()}`),
    )
    return told.length > 0
  }
  const request = {
    create_request: {
      key: Buffer.from('a'),
      range_end: Buffer.from('c'),
      start_revision: header.revision,
      filters: [],
    },
  }
  await within('the events', member.stream('Watch', 'watch', request, onAnswer, signal), bound)
  expect(told.sort()).toEqual(['Delete b', 'Put a'])
})

test('an engine whose store another one has opened answers nothing any more, and ends', async () => {
  const directory = newDirectory()
  const first = await start(directory, {socketPath: path.join(directory, 'first')})
  const member = clientOf(path.join(directory, 'first'))
  await grant(member, '77', 60)
  await start(directory, {socketPath: path.join(directory, 'second')})
  await expect(put(member, 'a')).rejects.toMatchObject({code: 14})
  expect(await within('the first engine to end', first.ended, bound)).toEqual({why: 'superseded'})
  expect(existsSync(path.join(directory, 'first'))).toBe(false)
  expect((await read(clientOf(path.join(directory, 'second')), 'a')).count).toBe('0')
})

test('an engine that cannot tell whether it has its store has a fault, and does not say that another one has it', async () => {
  const directory = path.join(newDirectory(), 'store')
  mkdirSync(directory)
  const socketPath = path.join(newDirectory(), 'socket')
  const engine = await start(directory, {socketPath})
  const member = clientOf(socketPath)
  await grant(member, '77', 60)
  rmSync(directory, {recursive: true})
  symlinkSync(directory, directory)
  const message = `the store of the local engine in ${directory} cannot be read and written: ELOOP`
  await expect(keepAlive(member, '77')).rejects.toMatchObject({code: 14, details: `etcdserver: ${message}`})
  expect(await within('the engine to end', engine.ended, bound)).toMatchObject({
    why: 'failed',
    error: {code: 'config', message},
  })
})

test('a superseded engine shows no key, keeps no lease alive and begins no watch, however soon it is asked', async () => {
  const clock = new Clock(new FakeClock())
  const watch = (member: Member): Promise<void> =>
    member.stream('Watch', 'watch', {create_request: {key: Buffer.from('a')}}, () => true, signal)
  for (const ask of [
    (member: Member) => read(member, 'a'),
    (member: Member) => keepAlive(member, '77'),
    watch,
  ]) {
    const disk = new MemoryDisk()
    const socketPath = path.join(newDirectory(), 'socket')
    const engine = stopping(await serveStorage(disk.open(), {socketPath, clock}))
    const member = clientOf(socketPath)
    await grant(member, '77', 60)
    disk.open()
    await expect(ask(member)).rejects.toMatchObject({code: 14})
    expect(await within('the engine to end', engine.ended, bound)).toEqual({why: 'superseded'})
  }
})

test('a key that a transaction has deleted and put again is there after a restart', async () => {
  const directory = newDirectory()
  const first = await start(directory)
  const member = clientOf(path.join(directory, 'socket'))
  await put(member, 'a')
  const success = [
    {request_delete_range: {key: Buffer.from('a'), range_end: Buffer.alloc(1)}},
    {request_put: {key: Buffer.from('a'), value: Buffer.from('again')}},
  ]
  await member.unary('KV', 'txn', {compare: [], success, failure: []}, signal)
  await first.stop()
  await start(directory)
  const {kvs} = await until('the engine to answer', () => read(member, 'a').catch(() => undefined), bound)
  expect(kvs[0]).toMatchObject({value: Buffer.from('again'), version: '1'})
})

test('an engine that nobody asks notices that it is superseded, and ends the watches on it', async () => {
  const directory = newDirectory()
  const first = await start(directory, {socketPath: path.join(directory, 'first')})
  const member = clientOf(path.join(directory, 'first'))
  const request = {create_request: {key: Buffer.from('a'), filters: []}}
  let isCreated = false
  const onAnswer = ({created}: IWatchResponse): boolean => {
    isCreated ||= created
    return false
  }
  const watching = member.stream('Watch', 'watch', request, onAnswer, signal)
  watching.catch(() => {})
  await until('the watch to stand', () => isCreated, bound)
  await start(directory, {socketPath: path.join(directory, 'second')})
  expect(await within('the first engine to end', first.ended, bound)).toEqual({why: 'superseded'})
  await expect(watching).rejects.toMatchObject({code: 14, details: 'etcdserver: server stopped'})
})

test('an engine takes the place of a socket on which nobody listens, or another one does', async () => {
  const directory = newDirectory()
  const socketPath = path.join(directory, 'socket')
  const first = await start(directory)
  const inode = statSync(socketPath).ino
  const second = await start(directory)
  await within('the first engine to end', first.ended, bound)
  expect(statSync(socketPath).ino).not.toBe(inode)
  expect(statSync(socketPath).mode & 0o777).toBe(0o600)
  await put(clientOf(socketPath), 'a')
  await second.stop()
  expect(existsSync(socketPath)).toBe(false)
})

test('an engine that is superseded before it serves leaves the socket to the other one', async () => {
  const disk = new MemoryDisk()
  const socketPath = path.join(newDirectory(), 'socket')
  const input = {socketPath, clock: systemClock()}
  const slow = disk.open()
  stopping(await serveStorage(disk.open(), input))
  const superseded = await serveStorage(slow, input)
  expect(await within('the slow engine to end', superseded.ended, bound)).toEqual({why: 'superseded'})
  await put(clientOf(socketPath), 'a')
})

test('an engine ends after a while without leases and calls, and not before', async () => {
  const time = new FakeClock()
  const directory = newDirectory()
  const socketPath = path.join(directory, 'socket')
  const input = {socketPath, clock: new Clock(time), idleMs: 10_000}
  const engine = stopping(await serveStorage(new MemoryDisk().open(), input))
  let hasEnded = false
  void engine.ended.then(() => (hasEnded = true))
  const member = clientOf(socketPath)
  await time.advance(9000)
  await grant(member, '77', 30)
  await time.advance(29_000)
  expect(hasEnded).toBe(false)
  await time.advance(9000)
  expect(hasEnded).toBe(false)
  await time.advance(3000)
  expect(await within('the engine to end', engine.ended, bound)).toEqual({why: 'idle'})
})

test('an engine that is told to end waits for those who have a lease, so long and no longer', async () => {
  const time = new FakeClock()
  const directory = newDirectory()
  const socketPath = path.join(directory, 'socket')
  const serve = async (): Promise<Engine> =>
    stopping(await serveStorage(new MemoryDisk().open(), {socketPath, clock: new Clock(time)}))
  const endOf = (engine: Engine): Promise<unknown> => within('the engine to end', engine.ended, bound)
  const engine = await serve()
  const member = clientOf(socketPath)
  await grant(member, '77', 60)
  let hasEnded = false
  void engine.stop(10_000).then(() => (hasEnded = true))
  await time.advance(9000)
  await put(member, 'a', '77')
  expect(hasEnded).toBe(false)
  await member.unary('Lease', 'leaseRevoke', {ID: '77'}, signal)
  await time.advance(100)
  expect(await endOf(engine)).toEqual({why: 'stopped'})
  const impatient = await serve()
  await grant(clientOf(socketPath), '78', 60)
  void impatient.stop(10_000)
  await time.advance(10_000)
  expect(await endOf(impatient)).toEqual({why: 'stopped'})
})

test('a lease that expires takes its keys with it, and the watch on them says so', async () => {
  const time = new FakeClock()
  const directory = newDirectory()
  const socketPath = path.join(directory, 'socket')
  stopping(await serveStorage(new MemoryDisk().open(), {socketPath, clock: new Clock(time)}))
  const member = clientOf(socketPath)
  await grant(member, '77', 5)
  await put(member, 'a', '77')
  await time.advance(4000)
  await keepAlive(member, '77')
  await time.advance(4999)
  expect((await read(member, 'a')).kvs).toHaveLength(1)
  const events: string[] = []
  const onAnswer = (answer: IWatchResponse): boolean => {
    events.push(...answer.events.map(({type}) => type))
    if (answer.created) void time.advance(1 + clockGrainMs)
    return events.length > 0
  }
  const request = {create_request: {key: Buffer.from('a'), filters: []}}
  await within('the deletion', member.stream('Watch', 'watch', request, onAnswer, signal), bound)
  expect(events).toEqual(['Delete'])
  expect((await read(member, 'a')).kvs).toEqual([])
  expect(await keepAlive(member, '77')).toBe(0)
})
