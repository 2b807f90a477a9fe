import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {asRoot, credentials, enableUsers, keysAsRoot, Tokens, type TokenKind} from '../support/etcdUsers.ts'
import {GrpcProxy} from '../support/GrpcProxy.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {pause, until} from '../support/wait.ts'
import {type Ended, Leash} from './support/leash.ts'

const lifeS = 1
/** etcd looks once in a second which simple tokens have expired. */
const longestLifeMs = 2500
/** Renewed every 2.25 s: etcd gives a simple token its whole life again when it is used. */
const shortTtl = '9s'

const kinds: [EtcdVersion, TokenKind][] = [
  ['3.4', 'simple'],
  ['3.4', 'jwt'],
  ['3.5', 'simple'],
  ['3.5', 'jwt'],
]
describe.each(kinds)(`with etcd %s and %s tokens that live for ${lifeS} s`, (version, kind) => {
  let tokens: Tokens
  let etcd: EtcdServer
  beforeAll(async () => {
    tokens = new Tokens(kind, lifeS)
    etcd = await EtcdServer.start({version, flags: tokens.flags})
    await enableUsers(etcd.url, [{type: 'READWRITE', key: 'leash/', prefix: true}])
  })
  afterAll(async () => {
    await etcd[Symbol.asyncDispose]()
    tokens[Symbol.dispose]()
  })

  const count = (proxy: GrpcProxy, method: string): number =>
    proxy.methods.filter((one) => one === method).length
  /** Resolves when so many more calls of a method have been made. */
  const more = async (proxy: GrpcProxy, method: string, times: number): Promise<void> => {
    const before = count(proxy, method)
    await until(`${times} more calls of ${method}`, () => count(proxy, method) >= before + times, {
      withinMs: 20_000,
      detail: () => proxy.methods.join(' '),
    })
  }
  const hold = (proxy: {url: string}, lock: string, ttl = shortTtl): Leash =>
    new Leash(['run', '-l', lock, '--ttl', ttl, '--', 'sh', '-c', 'echo runs; read line'], {
      env: {...credentials, LEASH_ENDPOINTS: proxy.url},
    })
  const quiet = async (run: Leash): Promise<Pick<Ended, 'status' | 'stderr'>> => {
    run.endInput()
    const {status, stderr} = await run.end()
    return {status, stderr}
  }
  const nothingIsLeftOf = async (lock: string): Promise<void> =>
    expect((await keysAsRoot(etcd)).filter((key) => key.includes(lock))).toEqual([])
  /** `read` has met the end of its input. */
  const wentWell = {status: 1, stderr: ''}

  test.concurrent(
    'a lock is held over many of them, and the watch on its ticket outlives them all',
    async () => {
      await using proxy = await GrpcProxy.to(etcd)
      await using run = hold(proxy, 'long')
      await run.says(/runs/)
      // A token may expire right before the watch begins, which is then opened twice.
      await more(proxy, 'LeaseKeepAlive', 1)
      const watches = count(proxy, 'Watch')
      await more(proxy, 'Authenticate', 3)
      expect(run.stderr).toBe('')
      expect(count(proxy, 'Watch')).toBe(watches)
      await asRoot(etcd, 'del', '--prefix', 'leash/lock/long/')
      expect((await run.end()).status).toBe(79)
      expect(run.stderr).toMatch(/^leash: long: /)
    },
  )

  test.concurrent('the watch on its ticket is opened again with a new one when it was broken', async () => {
    await using proxy = await GrpcProxy.to(etcd)
    await using link = await TcpProxy.to(proxy)
    await using run = hold(link, 'broken', '10m')
    await run.says(/runs/)
    await until('a watch', () => count(proxy, 'Watch') === 1, {withinMs: 10_000})
    // No renewal comes in between: the token that the next watch is opened with has expired.
    await pause(longestLifeMs)
    link.dropConnections()
    await until(
      'another watch, and a token',
      () => proxy.methods.slice(-3).join() === 'Watch,Authenticate,Watch',
      {
        withinMs: 10_000,
        detail: () => proxy.methods.join(' '),
      },
    )
    await asRoot(etcd, 'del', '--prefix', 'leash/lock/broken/')
    expect((await run.end()).status).toBe(79)
    expect(proxy.methods.filter((method) => method === 'LeaseKeepAlive')).toEqual([])
  })

  test.concurrent('a waiter gets its turn after as many', async () => {
    await using first = await GrpcProxy.to(etcd)
    await using holder = hold(first, 'turn')
    await holder.says(/runs/)
    await using second = await GrpcProxy.to(etcd)
    await using waiter = hold(second, 'turn')
    await more(second, 'Authenticate', 2)
    expect(await quiet(holder)).toEqual(wentWell)
    await waiter.says(/runs/)
    expect(await quiet(waiter)).toEqual(wentWell)
    await nothingIsLeftOf('turn')
  })

  test.concurrent('users and roles are changed while a lock is held', async () => {
    await using proxy = await GrpcProxy.to(etcd)
    await using run = hold(proxy, 'change')
    await run.says(/runs/)
    await asRoot(etcd, 'role', 'add', 'another')
    await more(proxy, 'LeaseKeepAlive', 2)
    expect(await quiet(run)).toEqual(wentWell)
  })

  test('a member that was restarted has forgotten or still knows its tokens, and nobody notices', async () => {
    await using proxy = await GrpcProxy.to(etcd)
    await using run = hold(proxy, 'restart')
    await run.says(/runs/)
    await etcd.kill()
    await etcd.restart()
    await more(proxy, 'LeaseKeepAlive', 2)
    expect(await quiet(run)).toEqual(wentWell)
    await nothingIsLeftOf('restart')
  })
})

describe('a token that lives for 5 minutes', () => {
  let etcd: EtcdServer
  let tokens: Tokens
  beforeAll(async () => {
    tokens = new Tokens('jwt', 300)
    etcd = await EtcdServer.start({version: '3.5', flags: tokens.flags})
    await enableUsers(etcd.url, [{type: 'READWRITE', key: 'leash/', prefix: true}])
  })
  afterAll(async () => {
    await etcd[Symbol.asyncDispose]()
    tokens[Symbol.dispose]()
  })

  test('is fetched once, and again when "revision of auth store is old"', async () => {
    await using proxy = await GrpcProxy.to(etcd)
    const env = {...credentials, LEASH_ENDPOINTS: proxy.url}
    await using run = new Leash(['run', '-l', 'x', '--ttl', '3s', '--', 'sh', '-c', 'echo runs; read line'], {
      env,
    })
    await run.says(/runs/)
    const asked = (): number => proxy.methods.filter((method) => method === 'Authenticate').length
    const renewed = (): number => proxy.methods.filter((method) => method === 'LeaseKeepAlive').length
    await until('two renewals', () => renewed() >= 2, {withinMs: 10_000})
    expect(asked()).toBe(1)
    await asRoot(etcd, 'role', 'add', 'another')
    await until('another token', () => asked() === 2, {withinMs: 10_000})
    const before = renewed()
    await until('two more renewals', () => renewed() >= before + 2, {withinMs: 10_000})
    expect(asked()).toBe(2)
    run.endInput()
    expect(await run.end()).toMatchObject({status: 1, stderr: ''})
  })
})
