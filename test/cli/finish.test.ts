import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {encodeEnding} from '../../src/lib/child/ending.ts'
import type {LeaseId} from '../../src/lib/core/identifiers.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {keysUnder, leases} from '../support/etcdGateway.ts'
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

const markKey = 'leash/held/lock/x'
/** What a guard would be told of the hold of `x`. */
const ending = async (): Promise<string> => {
  const [ticket] = await keysUnder(etcd.url, 'leash/lock/x/')
  if (ticket === undefined) throw new Error('nobody holds it')
  const {key, createRevision} = ticket
  const lease = BigInt(`0x${key.split('/').at(-1)}`) as LeaseId
  return encodeEnding([{ticket: {key, lease, createRevision: BigInt(createRevision)}, markKey}])
}

describe('the clean end in the place of a leash that died', () => {
  test('leaves nothing at etcd, says nothing, and takes the job of somebody who lives', async () => {
    await using run = new Leash(['run', '-l', 'x', '--', 'sh', '-c', 'echo runs; read line'], {env})
    await run.says(/runs/)
    expect(await keysUnder(etcd.url, '')).toHaveLength(2)
    expect(await leash(['finish', await ending()], {env})).toEqual({status: 0, stdout: '', stderr: ''})
    expect(await keysUnder(etcd.url, '')).toEqual([])
    expect(await leases(etcd.url)).toEqual([])
    expect((await run.end()).status).toBe(79)
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
