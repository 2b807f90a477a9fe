import type {IWatchResponse} from 'etcd3'
import {Client, Metadata, credentials} from '@grpc/grpc-js'
import {once} from 'node:events'
import {readdirSync} from 'node:fs'
import path from 'node:path'
import {expect, onTestFinished, test} from 'vitest'
import {LeashError} from '../../src/lib/core/errors.ts'
import type {Member} from '../../src/lib/etcd/member.ts'
import {type Engine, serveStorage} from '../../src/lib/local/engine.ts'
import {serviceDefinition} from '../../src/lib/local/protocol.ts'
import {systemClock} from '../../src/lib/systemClock.ts'
import {HeldStorage, MemoryDisk} from '../support/memoryStorage.ts'
import {until, within} from '../support/wait.ts'
import {newDirectory, clientOf, stopping, put, read} from './inTestEngine.ts'

const {signal} = new AbortController()
const bound = {withinMs: 10_000}

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
