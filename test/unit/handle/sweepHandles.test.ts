import {once} from 'node:events'
import {chmodSync, mkdirSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync} from 'node:fs'
import {createServer, type Server} from 'node:net'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, test} from 'vitest'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'
import {bootTime} from '../../../src/lib/handle/bootTime.ts'
import type {Handle} from '../../../src/lib/handle/handle.ts'
import {createHandle} from '../../../src/lib/handle/handleFile.ts'
import {sweepHandles} from '../../../src/lib/handle/sweepHandles.ts'
import {asOrdinaryUser, TemporaryWorld} from '../config/temporaryWorld.ts'
import {plainHandle} from './someHandle.ts'

const secondMs = 1000
const dayMs = 24 * 60 * 60 * secondMs
const now = {bootId: 'this boot', bootMs: 100 * dayMs, wallMs: Date.UTC(2030, 0, 1)}
/** When a handle with a TTL of 30 s is over. */
const overMs = dayMs + 60 * secondMs

let world: TemporaryWorld
let directory: string
let leases: bigint
const servers: Server[] = []
beforeEach(() => {
  world = new TemporaryWorld()
  directory = world.directory(join(world.root, 'handles'))
  leases = 0n
})
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
  world[Symbol.dispose]()
})

const setAge = (path: string, ageMs: number) => {
  const atSeconds = (now.wallMs - ageMs) / secondMs
  utimesSync(path, atSeconds, atSeconds)
}
/** Of another boot, unless it is said otherwise. */
const handleOfAge = (ageMs: number, what: Partial<Handle> = {}) => {
  const handle = {...plainHandle, lease: ++leases as LeaseId, ...what}
  setAge(createHandle(directory, handle), ageMs)
}
const fileOfAge = (name: string, ageMs: number, content = '') => {
  writeFileSync(join(directory, name), content)
  setAge(join(directory, name), ageMs)
}
const socketOfAge = async (name: string, ageMs: number) => {
  const server = createServer().listen(join(directory, name))
  servers.push(server)
  await once(server, 'listening')
  setAge(join(directory, name), ageMs)
}
const left = () => {
  sweepHandles(directory, now)
  return readdirSync(directory).toSorted()
}

describe('of handles', () => {
  test('removes those without a renewal for two TTLs and a day', () => {
    handleOfAge(overMs - secondMs)
    handleOfAge(overMs + secondMs)
    handleOfAge(overMs + secondMs, {ttlMs: 60 * secondMs})
    expect(left()).toEqual(['1', '3'])
  })

  test('leaves one that was renewed in this boot, however old a wall clock that was set makes it', () => {
    handleOfAge(1000 * dayMs, {bootId: now.bootId, sentAtBootMs: now.bootMs - secondMs})
    handleOfAge(1000 * dayMs, {bootId: now.bootId, sentAtBootMs: now.bootMs - overMs + secondMs})
    handleOfAge(1000 * dayMs, {bootId: now.bootId, sentAtBootMs: now.bootMs - overMs - secondMs})
    handleOfAge(1000 * dayMs, {bootId: 'another', sentAtBootMs: now.bootMs - secondMs})
    expect(left()).toEqual(['1', '2'])
  })

  test('removes tombstones after a day', () => {
    const ended = {how: 'released'} as const
    handleOfAge(dayMs - secondMs, {ended})
    handleOfAge(dayMs + secondMs, {ended})
    handleOfAge(dayMs + secondMs, {ended, ttlMs: dayMs, bootId: now.bootId, sentAtBootMs: now.bootMs})
    expect(left()).toEqual(['1'])
  })

  test('removes damaged ones after a day, and none of another version', () => {
    fileOfAge('a1', dayMs - secondMs)
    fileOfAge('a2', dayMs + secondMs)
    fileOfAge('a3', 1000 * dayMs, '{"version":2}')
    expect(left()).toEqual(['a1', 'a3'])
  })
})

test('removes unfinished updates after a day', () => {
  fileOfAge('1.0123456789abcdef.tmp', dayMs + secondMs)
  fileOfAge('2.0123456789abcdef.tmp', dayMs - secondMs)
  expect(left()).toEqual(['2.0123456789abcdef.tmp'])
})

test('removes the sockets of handles that are gone, after a day, and of those that it removes', async () => {
  handleOfAge(overMs + secondMs)
  await socketOfAge('1.sock', overMs)
  handleOfAge(0)
  await socketOfAge('2.sock', 1000 * dayMs)
  await socketOfAge('3.sock', dayMs + secondMs)
  await socketOfAge('4.sock', dayMs - secondMs)
  expect(left()).toEqual(['2', '2.sock', '4.sock'])
})

test('touches nothing else: other names, links, directories', () => {
  const others = [
    'README',
    '1.sock.bak',
    '.1',
    '1.tmp',
    'ABC',
    '0123456789abcdef0',
    '1.0123456789abcdef.tmp.x',
  ]
  for (const name of others) fileOfAge(name, 1000 * dayMs)
  const target = world.write(join(world.root, 'target'), '')
  setAge(target, 1000 * dayMs)
  symlinkSync(target, join(directory, 'a'))
  symlinkSync(join(world.root, 'nowhere'), join(directory, 'b'))
  mkdirSync(join(directory, 'c'))
  setAge(join(directory, 'c'), 1000 * dayMs)
  expect(left()).toEqual([...others, 'a', 'b', 'c'].toSorted())
})

test('never throws: nothing there, no directory, a directory that cannot be read or written', () => {
  chmodSync(world.root, 0o755)
  handleOfAge(1000 * dayMs)
  for (const mode of [0, 0o555]) {
    chmodSync(directory, mode)
    asOrdinaryUser(() => sweepHandles(directory, now))
  }
  chmodSync(directory, 0o755)
  expect(readdirSync(directory)).toEqual(['1'])
  sweepHandles(join(directory, '1'), now)
  rmSync(directory, {recursive: true})
  sweepHandles(directory, now)
})

test('knows which boot this is, and how long it lasts', () => {
  const before = bootTime()
  expect(before.bootId).toMatch(/^[0-9a-f-]{36}$/)
  expect(bootTime().bootId).toBe(before.bootId)
  expect(bootTime().bootMs).toBeGreaterThanOrEqual(before.bootMs)
})
