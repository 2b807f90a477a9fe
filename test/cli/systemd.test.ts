import {readdirSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {deleteKey, keysUnder} from '../support/etcdGateway.ts'
import {NotifySocket} from '../support/NotifySocket.ts'
import {commandOf, killMarked, parentOf} from '../support/processes.ts'
import {scratchDirectory} from '../support/scratch.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {until} from '../support/wait.ts'
import {Leash, leash} from './support/leash.ts'
import {TestLock} from './support/TestLock.ts'

let etcd: EtcdServer
let env: Record<string, string>
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
  env = {LEASH_ENDPOINTS: etcd.url}
})
afterAll(() => etcd[Symbol.asyncDispose]())

const job = ['--', 'sh', '-c', 'echo "runs under $PPID"; read line || :']
const watchdog = {WATCHDOG_USEC: '5000000'}
/** What systemd-notify sends, in the order of the messages. */
const ready = ({name}: TestLock): string => `READY=1|STATUS=acquired the lock ${name}`
const fed = 'WATCHDOG=1'

describe('with the real systemd-notify', () => {
  let socket: NotifySocket
  beforeEach(async () => {
    socket = await NotifySocket.bind()
  })
  afterEach(() => socket[Symbol.asyncDispose]())

  test('READY is said when the lock is held, and not by who waits for it', async () => {
    const lock = new TestLock(etcd)
    await using holder = new Leash(['run', '-l', lock.name, ...job], {env})
    await holder.says(/runs/)
    // A waiter renews its lease as well.
    const waiting = ['run', '-l', lock.name, '--ttl', '2s', ...job]
    await using waiter = new Leash(waiting, {env: {...env, ...socket.env, ...watchdog}})
    await until('a waiter', async () => (await lock.queueLength()) === 2, {withinMs: 10_000})
    expect(socket.messages).toEqual([])
    holder.endInput()
    await holder.end()
    expect((await socket.heard(1))[0]).toBe(ready(lock))
    await waiter.says(/runs/)
    waiter.endInput()
    expect(await waiter.end()).toMatchObject({status: 0, stderr: ''})
  })

  test('the watchdog is fed at each confirmed renewal, and no more when none is, although leash lives', async () => {
    await using link = await TcpProxy.to(etcd)
    const lock = new TestLock(etcd)
    // For the very process that systemd started.
    const through = ['sh', '-c', 'WATCHDOG_PID=$$; export WATCHDOG_PID; exec "$@"', 'sh']
    await using run = new Leash(
      ['run', '-l', lock.name, '--ttl', '4s', '--grace', '1s', '--endpoints', link.url, '--', 'sleep', '600'],
      {env: {...socket.env, ...watchdog}, through},
    )
    expect((await socket.heard(4)).slice(0, 4)).toEqual([ready(lock), fed, fed, fed])
    link.blackhole()
    const before = socket.messages.length
    expect((await run.end()).status).toBe(79)
    // Two renewals were due until TERM. One may have been confirmed when the hole opened.
    expect(socket.messages.length).toBeLessThanOrEqual(before + 1)
  })

  test('a candidate that has lost and stands again feeds the watchdog while it waits', async () => {
    const name = 'api'
    const candidate = (...options: string[]): string[] => ['campaign', name, ...options, ...job]
    await using leader = new Leash(candidate('--rejoin'), {
      env: {...env, ...socket.env, WATCHDOG_USEC: '600000'},
    })
    await leader.says(/runs/)
    expect(await socket.heard(1)).toEqual([`READY=1|STATUS=won the election ${name}`])
    await using rival = new Leash(candidate(), {env})
    const queue = (): ReturnType<typeof keysUnder> => keysUnder(etcd.url, `leash/election/${name}/`)
    const standing = (count: number): Promise<boolean> =>
      until(`${count} candidates`, async () => (await queue()).length === count, {withinMs: 10_000})
    await standing(2)
    await deleteKey(etcd.url, (await queue())[0]?.key ?? '')
    await rival.says(/runs/)
    await standing(2)
    // It renews its lease each ten seconds.
    const {length} = socket.messages
    const heard = await socket.heard(length + 4)
    expect(heard[1]).toBe(`STATUS=lost the leadership of ${name}|${fed}`)
    expect(new Set(heard.slice(2))).toEqual(new Set([fed]))
    rival.endInput()
    await leader.says(/runs[^]*runs/)
    await until('it to say so', () => socket.messages.at(-1)?.startsWith('READY'), {withinMs: 5000})
    leader.endInput()
    expect((await leader.end()).status).toBe(0)
  })

  test('a unit without a watchdog hears READY only', async () => {
    await using watched = await NotifySocket.bind()
    const lock = new TestLock(etcd)
    const start = (name: string, more: Record<string, string>): Leash =>
      new Leash(['run', '-l', name, '--ttl', '2s', ...job], {env: {...env, ...more}})
    await using run = start(lock.name, socket.env)
    await run.says(/runs/)
    // Starts later, and renews as often.
    await using other = start(`${lock.name}-watched`, {...watched.env, ...watchdog})
    await other.says(/runs/)
    await watched.heard(4)
    expect(socket.messages).toEqual([ready(lock)])
  })

  test('the job has the variables of systemd as leash was given them', async () => {
    const given = {NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '5000000', WATCHDOG_PID: '1'}
    const lock = new TestLock(etcd)
    const {stdout} = await leash(['run', '-l', lock.name, 'env'], {env: {...env, ...socket.env, ...given}})
    expect(stdout.split('\n')).toEqual(
      expect.arrayContaining(Object.entries(given).map(([name, value]) => `${name}=${value}`)),
    )
  })

  test('a systemd that cannot be told is worth one line, and the job goes on', async () => {
    const lock = new TestLock(etcd)
    await using run = new Leash(['run', '-l', lock.name, '--ttl', '2s', ...job], {
      env: {...env, ...socket.env, ...watchdog, NOTIFY_SOCKET: `${socket.path}-not`},
    })
    await run.says(/not hear/, 'stderr')
    run.endInput()
    const {status, stderr} = await run.end()
    expect(status).toBe(0)
    expect(stderr).toBe(
      `leash: ${lock.name}: systemd does not hear of this hold (systemd-notify: ended with 1); check PATH, or unset NOTIFY_SOCKET\n`,
    )
  })
})

describe('with a systemd-notify that stands still', () => {
  let directory: string
  let still: Record<string, string>
  beforeEach(() => {
    directory = scratchDirectory('systemd-notify')
    writeFileSync(path.join(directory, 'systemd-notify'), '#!/bin/sh\nexec sleep 600\n', {mode: 0o755})
    still = {...env, PATH: `${directory}:${process.env['PATH']}`, ...watchdog}
  })
  afterEach(() => {
    killMarked(`NOTIFY_SOCKET=${directory}`)
    rmSync(directory, {recursive: true})
  })
  /** Those that leash has started, while its job runs. */
  const sleepers = async (run: Leash): Promise<number> => {
    const [, parent] = /under (\d+)/.exec(await run.says(/runs under \d+\n/)) ?? []
    const children = readdirSync('/proc').filter((pid) => parentOf(Number(pid)) === Number(parent))
    return children.filter((pid) => commandOf(pid) === 'sleep 600').length
  }

  test('leash ends when its job does', async () => {
    const lock = new TestLock(etcd)
    const {status, stderr} = await leash(['run', '-l', lock.name, 'true'], {
      env: {...still, NOTIFY_SOCKET: directory},
    })
    expect({status, stderr}).toEqual({status: 0, stderr: ''})
    await lock.isFree()
  })

  test('it is started with NOTIFY_SOCKET', async () => {
    await using run = new Leash(['run', '-l', 'x', ...job], {env: {...still, NOTIFY_SOCKET: directory}})
    await until('it to be started', async () => (await sleepers(run)) === 1, {withinMs: 5000})
  })

  test('it is not started without NOTIFY_SOCKET', async () => {
    await using run = new Leash(['run', '-l', 'y', ...job], {env: still})
    expect(await sleepers(run)).toBe(0)
  })
})
