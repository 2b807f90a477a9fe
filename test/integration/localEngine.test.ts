import type {
  ILeaseGrantResponse,
  ILeaseKeepAliveResponse,
  IRangeResponse,
  ITxnResponse,
  IWatchResponse,
} from 'etcd3'
import {Client, Metadata, credentials} from '@grpc/grpc-js'
import {once} from 'node:events'
import {existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync} from 'node:fs'
import path from 'node:path'
import {expect, onTestFinished, test} from 'vitest'
import {Clock} from '../../src/lib/core/clock.ts'
import {LeashError} from '../../src/lib/core/errors.ts'
import {Member} from '../../src/lib/etcd/member.ts'
import {type Engine, type EngineInput, serveStorage, startEngine} from '../../src/lib/local/engine.ts'
import {clockGrainMs} from '../../src/lib/local/lessor.ts'
import {serviceDefinition} from '../../src/lib/local/protocol.ts'
import {systemClock} from '../../src/lib/systemClock.ts'
import {FakeClock} from '../support/fakeClock.ts'
import {HeldStorage, MemoryDisk} from '../support/memoryStorage.ts'
import {scratchDirectory} from '../support/scratch.ts'
import {until, within} from '../support/wait.ts'

const {signal} = new AbortController()
const bound = {withinMs: 10_000}

const newDirectory = (): string => {
  const directory = scratchDirectory('engine')
  onTestFinished(() => rmSync(directory, {recursive: true, force: true}))
  return directory
}

/** A client of whatever listens there. */
const clientOf = (socketPath: string): Member => {
  const member = new Member(`unix:${socketPath}`)
  onTestFinished(() => member.close())
  return member
}

const stopping = (engine: Engine): Engine => {
  onTestFinished(() => engine.stop())
  return engine
}

const start = async (directory: string, input: Partial<EngineInput> = {}): Promise<Engine> => {
  const socketPath = path.join(directory, 'socket')
  return stopping(await startEngine({directory, socketPath, clock: systemClock(), ...input}))
}

const put = (member: Member, key: string, lease = '0'): Promise<IRangeResponse> =>
  member.unary('KV', 'put', {key: Buffer.from(key), value: Buffer.from('value'), lease}, signal)

const read = (member: Member, key: string): Promise<IRangeResponse> =>
  member.unary('KV', 'range', {key: Buffer.from(key)}, signal)

const grant = (member: Member, ID: string, TTL: number): Promise<ILeaseGrantResponse> =>
  member.unary('Lease', 'leaseGrant', {ID, TTL}, signal)

/** The TTL that a keep-alive answers. */
const keepAlive = async (member: Member, ID: string): Promise<number> => {
  let ttlSeconds = -1
  const onAnswer = (answer: ILeaseKeepAliveResponse): boolean => {
    ttlSeconds = Number(answer.TTL)
    return true
  }
  await member.stream('Lease', 'leaseKeepAlive', {ID}, onAnswer, signal)
  return ttlSeconds
}

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

const serveHeld = async (): Promise<{engine: Engine; storage: HeldStorage; member: Member}> => {
  const storage = new HeldStorage()
  const socketPath = path.join(newDirectory(), 'socket')
  const engine = stopping(await serveStorage(storage, {socketPath, clock: systemClock()}))
  return {engine, storage, member: clientOf(socketPath)}
}

test('nobody sees what is not on the disk yet', async () => {
  const {storage, member} = await serveHeld()
  const told: string[] = []
  const onAnswer = ({created, events}: IWatchResponse): boolean => {
    told.push(...(created ? ['created'] : []), ...events.map(({type}) => `seen ${type}`))
    return events.length > 0
  }
  const request = {create_request: {key: Buffer.from('a'), filters: []}}
  const watching = member.stream('Watch', 'watch', request, onAnswer, signal)
  await until('the watch to stand', () => told.length > 0, bound)
  const writing = put(member, 'a').then(() => told.push('acknowledged'))
  await until('the write to be taken', () => storage.taken === 1, bound)
  const reading = read(member, 'a').then(({count}) => told.push(`read ${count}`))
  // What is asked later is answered later: when this one is, the others had their chance.
  await member.unary('Maintenance' as 'KV', 'alarm', {}, signal).catch(() => {})
  expect(told).toEqual(['created'])
  storage.release()
  await Promise.all([writing, reading, watching])
  expect(new Set(told)).toEqual(new Set(['created', 'seen Put', 'acknowledged', 'read 1']))
})

test('an engine whose disk fails says why to all who ask, and ends', async () => {
  const {engine, storage, member} = await serveHeld()
  const writing = put(member, 'a')
  await until('the write to be taken', () => storage.taken === 1, bound)
  const answers = Promise.allSettled([writing, read(member, 'a')])
  const error = new LeashError('unavailable', 'the disk has no room', 'make room')
  storage.fail(error)
  const [written, seen] = await answers
  expect(written).toMatchObject({reason: {code: 14, details: 'etcdserver: the disk has no room'}})
  expect(seen).toMatchObject({reason: {code: 14}})
  expect(await within('the engine to end', engine.ended, bound)).toEqual({why: 'failed', error})
})

test('a watch whose client does not read is ended when it waits for too much', async () => {
  const socketPath = path.join(newDirectory(), 'socket')
  const storage = new MemoryDisk().open()
  stopping(await serveStorage(storage, {socketPath, clock: systemClock()}))
  const member = clientOf(socketPath)
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure())
  onTestFinished(() => client.close())
  const {Watch: method} = serviceDefinition('Watch')
  if (method === undefined) throw new Error('no such method')
  const {path: name, requestSerialize, responseDeserialize} = method
  const stream = client.makeBidiStreamRequest(name, requestSerialize, responseDeserialize, new Metadata())
  const ended = new Promise<unknown>((resolve) => stream.on('error', resolve))
  stream.write({create_request: {key: Buffer.from('a')}})
  const created = (await once(stream, 'data')) as [IWatchResponse]
  expect(created[0].created).toBe(true)
  stream.pause()
  const value = Buffer.alloc(1024 * 1024)
  for (let round = 0; round < 80; round++)
    await member.unary('KV', 'put', {key: Buffer.from('a'), value}, signal)
  let count = 0
  stream.on('data', () => count++).resume()
  expect(await within('the end of the watch', ended, bound)).toMatchObject({code: 8})
  expect(count).toBeGreaterThan(50)
  expect(count).toBeLessThan(80)
})

test('an engine that cannot make its socket lets go of its store', async () => {
  const storage = new HeldStorage()
  const socketPath = path.join(newDirectory(), 'none', 'socket')
  const refused = serveStorage(storage, {socketPath, clock: systemClock()})
  const message = `the local engine cannot make its socket ${socketPath}: `
  await expect(refused).rejects.toMatchObject({
    code: 'config',
    message: expect.stringContaining(message) as string,
  })
  expect(storage.isClosed).toBe(true)
})

test('an engine that cannot tell whether it has its store when it has made its socket says so', async () => {
  const error = new LeashError('config', 'the store cannot be read', 'mend it')
  const isCurrent = (): never => {
    throw error
  }
  const storage = Object.assign(new HeldStorage(), {isCurrent})
  const directory = newDirectory()
  const refused = serveStorage(storage, {socketPath: path.join(directory, 'socket'), clock: systemClock()})
  await expect(refused).rejects.toBe(error)
  expect(storage.isClosed).toBe(true)
  expect(readdirSync(directory)).toEqual([])
})
