import {once} from 'node:events'
import {connect, createServer, type Server, type Socket} from 'node:net'
import type {AddressInfo} from 'node:net'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {grant, keysUnder} from '../support/etcdGateway.ts'
import {etcdctl, EtcdServer} from '../support/EtcdServer.ts'
import {GrpcProxy} from '../support/GrpcProxy.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {nowMs, pause, until} from '../support/wait.ts'

/** Answers each byte with the same byte, and remembers what it got. */
const echoServer = async (): Promise<{
  port: number
  got: () => string
  server: Server
  sockets: Socket[]
}> => {
  let got = ''
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      got += String(bytes)
      socket.write(bytes)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {port: (server.address() as AddressInfo).port, got: () => got, server, sockets}
}

const caller = async (port: number) => {
  const socket = connect(port, '127.0.0.1')
  const seen = {answer: '', end: ''}
  socket.on('data', (bytes) => (seen.answer += String(bytes)))
  socket.on('error', (error: NodeJS.ErrnoException) => (seen.end = error.code ?? 'error'))
  socket.on('end', () => (seen.end ||= 'end'))
  await once(socket, 'connect').catch(() => {})
  return {socket, seen}
}

describe('TcpProxy', () => {
  const bound = {withinMs: 2000, everyMs: 2}
  /** Long enough for a byte to arrive that should not: loopback takes well under 1 ms. */
  const settleMs = 60

  test.each([
    ['both', '', ''],
    ['toServer', '', ''],
    ['toClient', 'later', ''],
  ] as const)('a black hole %s holds bytes, and delivers them late', async (direction, got, answered) => {
    const echo = await echoServer()
    await using proxy = await TcpProxy.to(echo)
    const {socket, seen} = await caller(proxy.port)
    socket.write('first ')
    await until('the first echo', () => seen.answer === 'first ', bound)
    proxy.blackhole(direction)
    socket.write('later')
    await pause(settleMs)
    expect([echo.got(), seen.answer]).toEqual([`first ${got}`, `first ${answered}`])
    await proxy.heal()
    await until('the late echo', () => seen.answer === 'first later', bound)
    socket.destroy()
    echo.server.close()
  })

  test('a black hole accepts new connections and holds their bytes as well', async () => {
    const echo = await echoServer()
    await using proxy = await TcpProxy.to(echo)
    proxy.blackhole()
    const {socket, seen} = await caller(proxy.port)
    socket.write('x')
    await pause(settleMs)
    expect([echo.got(), seen]).toEqual(['', {answer: '', end: ''}])
    await proxy.heal()
    await until('the echo', () => seen.answer === 'x', bound)
    socket.destroy()
    echo.server.close()
  })

  test('nobody in a black hole hears that the other side has gone', async () => {
    const echo = await echoServer()
    await using proxy = await TcpProxy.to(echo)
    const {socket, seen} = await caller(proxy.port)
    socket.write('x')
    await until('the echo', () => seen.answer === 'x', bound)
    proxy.blackhole()
    echo.sockets[0]?.resetAndDestroy()
    await pause(settleMs)
    expect(seen.end).toBe('')
    await proxy.heal()
    await until('the reset', () => seen.end === 'ECONNRESET', bound)
    socket.destroy()
    echo.server.close()
  })

  test('healing with a reset loses what was held', async () => {
    const echo = await echoServer()
    await using proxy = await TcpProxy.to(echo)
    const {socket, seen} = await caller(proxy.port)
    proxy.blackhole()
    socket.write('lost')
    await pause(settleMs)
    await proxy.heal('reset')
    await until('the reset', () => seen.end === 'ECONNRESET', bound)
    expect(echo.got()).toBe('')
    echo.server.close()
  })

  test('a reset kills connections and refuses new ones until healed', async () => {
    const echo = await echoServer()
    await using proxy = await TcpProxy.to(echo)
    const first = await caller(proxy.port)
    proxy.reset()
    await until('the reset', () => first.seen.end === 'ECONNRESET', bound)
    expect((await caller(proxy.port)).seen.end).toBe('ECONNREFUSED')
    await proxy.heal()
    const third = await caller(proxy.port)
    third.socket.write('x')
    await until('the echo', () => third.seen.answer === 'x', bound)
    third.socket.destroy()
    echo.server.close()
  })

  test('abandoned connections stay dead in silence; new ones work', async () => {
    const echo = await echoServer()
    await using proxy = await TcpProxy.to(echo)
    const first = await caller(proxy.port)
    proxy.abandonConnections()
    await proxy.heal()
    first.socket.write('x')
    const second = await caller(proxy.port)
    second.socket.write('y')
    await until('the echo', () => second.seen.answer === 'y', bound)
    await pause(settleMs)
    expect(first.seen).toEqual({answer: '', end: ''})
    for (const {socket} of [first, second]) socket.destroy()
    echo.server.close()
  })

  test('a delay is on each way, and keeps the order', async () => {
    const echo = await echoServer()
    await using proxy = await TcpProxy.to(echo)
    const {socket, seen} = await caller(proxy.port)
    proxy.delay(50)
    const sentAtMs = nowMs()
    socket.write('a')
    await pause(5)
    proxy.delay(0)
    socket.write('b')
    await until('both echoes', () => seen.answer.length === 2, bound)
    expect(nowMs() - sentAtMs).toBeGreaterThanOrEqual(49)
    expect(seen.answer).toBe('ab')
    socket.destroy()
    echo.server.close()
  })
})

describe('GrpcProxy', () => {
  let etcd: EtcdServer
  beforeAll(async () => {
    etcd = await EtcdServer.start()
  })
  afterAll(async () => {
    await etcd[Symbol.asyncDispose]()
  })
  const run = (proxy: GrpcProxy, ...args: string[]) => etcdctl('3.5', proxy.url, ...args)

  test('passes calls, errors and streams on, and counts the calls', async () => {
    await using proxy = await GrpcProxy.to(etcd)
    const lease = await grant(etcd.url, 60)
    await run(proxy, 'put', 'seen/a', 'one', '--lease', lease)
    expect(await run(proxy, 'get', 'seen/a')).toBe('seen/a\none\n')
    expect(await run(proxy, 'lease', 'keep-alive', '--once', lease)).toContain('keepalived with TTL(60)')
    // A watch has no end: the first event's command ends it.
    const watch = run(proxy, 'watch', '--rev', '1', 'seen/a', '--', 'sh', '-c', 'kill -9 $PPID')
    await expect(watch).rejects.toMatchObject({signal: 'SIGKILL'})
    await run(proxy, 'lease', 'revoke', lease)
    await expect(run(proxy, 'lease', 'revoke', lease)).rejects.toThrow(/requested lease not found/)
    expect(proxy.methods).toEqual(['Put', 'Range', 'LeaseKeepAlive', 'Watch', 'LeaseRevoke', 'LeaseRevoke'])
  })

  test('knows from when on etcd could expire a lease', async () => {
    await using proxy = await GrpcProxy.to(etcd)
    const beforeMs = nowMs()
    const lease = /lease (\w+) granted/.exec(await run(proxy, 'lease', 'grant', '5'))?.[1] ?? ''
    const granted = proxy.leases.expiresNotBeforeMs(lease) ?? 0
    expect(granted).toBeGreaterThan(beforeMs + 5000)
    expect(granted).toBeLessThan(nowMs() + 5000)
    const renewedFromMs = nowMs()
    await run(proxy, 'lease', 'keep-alive', '--once', lease)
    expect(proxy.leases.expiresNotBeforeMs(lease)).toBeGreaterThan(renewedFromMs + 5000)
  })

  test.each([
    ['reset', /Unavailable|EOF|reset/],
    ['silence', /deadline exceeded/],
  ] as const)('loses one answer after the commit, by %s', async (how, complaint) => {
    await using proxy = await GrpcProxy.to(etcd)
    const cut = proxy.cutAfterCommit({method: 'KV/Put', nth: 2, how})
    await run(proxy, 'put', `cut/${how}/1`, '1')
    await expect(run(proxy, '--command-timeout', '500ms', 'put', `cut/${how}/2`, '2')).rejects.toThrow(
      complaint,
    )
    await cut.done()
    expect((await keysUnder(etcd.url, `cut/${how}/`)).map(({value}) => value)).toEqual(['1', '2'])
    await run(proxy, 'put', `cut/${how}/3`, '3')
  })

  test('an error of the server is no commit, so nothing is cut', async () => {
    await using proxy = await GrpcProxy.to(etcd)
    const cut = proxy.cutAfterCommit({method: 'LeaseRevoke'})
    await expect(run(proxy, '--command-timeout', '300ms', 'lease', 'revoke', '123456')).rejects.toThrow()
    await expect(cut.done(50)).rejects.toThrow(/in vain for the answer to LeaseRevoke/)
  })

  test('the connection dies with the server', async () => {
    await using own = await EtcdServer.start()
    await using proxy = await GrpcProxy.to(own)
    const [before, after] = [await caller(proxy.port), own.kill()]
    await after
    await until('the reset', () => before.seen.end === 'ECONNRESET', {withinMs: 2000})
    await own.restart()
    await run(proxy, 'put', 'a', '1')
  })
})
