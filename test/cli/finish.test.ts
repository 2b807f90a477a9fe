import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {encodeEnding} from '../../src/lib/child/ending.ts'
import type {LeaseId} from '../../src/lib/core/identifiers.ts'
import type {Dequeue} from '../../src/lib/core/ports.ts'
import {mostLocks} from '../../src/lib/core/lockName.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {keysUnder, leases, put} from '../support/etcdGateway.ts'
import {freePorts} from '../support/scratch.ts'
import {until} from '../support/wait.ts'
import {Leash, leash} from './support/leash.ts'

let etcd: EtcdServer
let env: Record<string, string>
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
  env = {LEASH_ENDPOINTS: etcd.url}
})
afterAll(() => etcd[Symbol.asyncDispose]())

/** What a guard would be told of the hold of these locks. */
const ending = async (...names: readonly [string, ...string[]]): Promise<string> => {
  const holdOf = async (name: string): Promise<Dequeue> => {
    const [ticket] = await keysUnder(etcd.url, `leash/lock/${name}/`)
    if (ticket === undefined) throw new Error(`nobody holds ${name}`)
    const {key, createRevision} = ticket
    const lease = BigInt(`0x${key.split('/').at(-1)}`) as LeaseId
    return {ticket: {key, lease, createRevision: BigInt(createRevision)}, markKey: `leash/held/lock/${name}`}
  }
  const [first, ...others] = names
  return encodeEnding([await holdOf(first), ...(await Promise.all(others.map(holdOf)))])
}

describe('the clean end in the place of a leash that died', () => {
  test('leaves nothing at etcd, says nothing, and takes the job of somebody who lives', async () => {
    await using run = new Leash(['run', '-l', 'x', '--', 'sh', '-c', 'echo runs; read line'], {env})
    await run.says(/runs/)
    expect(await keysUnder(etcd.url, '')).toHaveLength(2)
    expect(await leash(['finish', await ending('x')], {env})).toEqual({status: 0, stdout: '', stderr: ''})
    expect(await keysUnder(etcd.url, '')).toEqual([])
    expect(await leases(etcd.url)).toEqual([])
    expect((await run.end()).status).toBe(79)
  })

  test('of several locks leaves nothing, either', async () => {
    await using run = new Leash(['run', '-l', 'x', '-l', 'y', '--', 'sh', '-c', 'echo runs; read line'], {
      env,
    })
    await run.says(/runs/)
    expect(await keysUnder(etcd.url, '')).toHaveLength(4)
    expect(await leash(['finish', await ending('x', 'y')], {env})).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    })
    expect(await keysUnder(etcd.url, '')).toEqual([])
    expect(await leases(etcd.url)).toEqual([])
    expect((await run.end()).status).toBe(79)
  })

  test('is made by the guard for as many locks as there may be, with the longest names', async () => {
    const longest = (index: number): string => String(index).padStart(200, '%')
    const names = Array.from({length: mostLocks}, (_, index) => ['-l', longest(index)])
    await using run = new Leash(['run', ...names.flat(), '--', 'sh', '-c', 'echo runs; read line'], {env})
    await run.says(/runs/)
    expect(await keysUnder(etcd.url, '')).toHaveLength(2 * mostLocks)
    await run.killHard()
    await until('nothing to be left', async () => (await keysUnder(etcd.url, '')).length === 0, {
      withinMs: 10_000,
    })
    await until('the guard to end', () => run.processes().length === 0, {withinMs: 10_000})
    await until('no lease to be left', async () => (await leases(etcd.url)).length === 0, {withinMs: 10_000})
  })

  test('is made by the guard with the marks of those who had vanished, which leash has waited for', async () => {
    await put(etcd.url, 'leash/held/beside/x/shared/1f', '1f')
    await using run = new Leash(['run', '-v', '-l', 'x', '--', 'sh', '-c', 'echo runs; read line'], {env})
    await run.says(/the last holder vanished/, 'stderr')
    await run.says(/runs/)
    await run.killHard()
    await until('nothing to be left', async () => (await keysUnder(etcd.url, '')).length === 0, {
      withinMs: 10_000,
    })
    await until('no lease to be left', async () => (await leases(etcd.url)).length === 0, {withinMs: 10_000})
  })

  test.each([
    [['word'], '"word"'],
    [[], '""'],
    [['two', 'words'], '"two words"'],
  ])('needs what a guard was given, and not %j', async (words, quoted) => {
    const {status, stdout, stderr} = await leash(['finish', ...words], {env})
    expect({status, stdout}).toEqual({status: 64, stdout: ''})
    expect(stderr).toBe(`leash: ${quoted} is no ticket; leave this command to leash\n`)
  })

  test('gives up in silence if etcd is out of reach: the lease runs out', async () => {
    const [port = 0] = await freePorts(1)
    const ticket = {key: 'leash/lock/x/1', lease: 1n as LeaseId, createRevision: 1n}
    const end = await leash(['finish', encodeEnding([{ticket}])], {
      env: {LEASH_ENDPOINTS: `http://127.0.0.1:${port}`},
    })
    expect(end).toEqual({status: 0, stdout: '', stderr: ''})
  })

  test('is made by the guard when leash was killed, for the endpoints that leash had, however it was told of them', async () => {
    await using run = new Leash(
      ['run', '--endpoints', etcd.url, '-l', 'x', '--', 'sh', '-c', 'echo runs; read line'],
      {
        env: {LEASH_ENDPOINTS: 'http://127.0.0.1:1'},
      },
    )
    await run.says(/runs/)
    await run.killHard()
    await until('nothing to be left', async () => (await keysUnder(etcd.url, '')).length === 0, {
      withinMs: 10_000,
    })
    await until('the guard to end', () => run.processes().length === 0, {withinMs: 10_000})
    await until('no lease to be left', async () => (await leases(etcd.url)).length === 0, {withinMs: 10_000})
  })

  test('is not made after a kill if a lock-delay is to keep others out', async () => {
    await using run = new Leash(
      ['run', '--lock-delay', '30s', '-l', 'delayed', '--', 'sh', '-c', 'echo runs; read line'],
      {env},
    )
    await run.says(/runs/)
    await run.killHard()
    await until('the guard to end', () => run.processes().length === 0, {withinMs: 10_000})
    expect(await keysUnder(etcd.url, 'leash/lock/delayed/')).toHaveLength(1)
  })
})

test('no help speaks of it', async () => {
  expect((await leash(['--help'])).stdout).not.toContain('finish')
})
