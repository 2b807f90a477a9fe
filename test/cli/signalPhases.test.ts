/** What signals.test.ts does not look at: the phases of a run that are over in a moment, signals that come twice, lost readers. */
import {existsSync, readFileSync, rmSync} from 'node:fs'
import {constants} from 'node:os'
import path from 'node:path'
import {afterAll, afterEach, beforeAll, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {keysUnder, leases} from '../support/etcdGateway.ts'
import {GrpcProxy} from '../support/GrpcProxy.ts'
import {scratchDirectory} from '../support/scratch.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {pause, until} from '../support/wait.ts'
import {Leash, type Ended} from './support/leash.ts'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const
type Signal = (typeof signals)[number]

const statusOf = (signal: Signal): number => 128 + constants.signals[signal]

/** In front of leash, which is started as users start it, and finds this Node on PATH. SIGQUIT leaves no core file behind. */
const asUsersDo = 'ulimit -c 0; PATH=${1%/*}:$PATH; shift;'

let etcd: EtcdServer
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
})
afterAll(() => etcd[Symbol.asyncDispose]())

/** In all: no ticket, no mark, no lease. The lease of a leash that was killed by a signal, as it had no handler yet, runs out. */
const nothingLeft = async (): Promise<void> => {
  const left = async () => [...(await keysUnder(etcd.url, '')), ...(await leases(etcd.url))]
  const gone = async () => (await left()).length === 0
  await until('etcd to be empty', gone, {withinMs: 10_000, everyMs: 100})
}
afterEach(nothingLeft)

const run = (
  name: string,
  job: readonly string[],
  endpoint = etcd.url,
  through = ['sh', '-c', `${asUsersDo} exec "$@"`, 'sh'],
): Leash => new Leash(['run', '-l', name, '--ttl', '2s', '--endpoints', endpoint, '--', ...job], {through})

/** The end of leash, and of all that it started: nothing may be started afterwards, as nobody is left to do it. */
const endOfAll = async (leash: Leash): Promise<Ended> => {
  const ended = await leash.end()
  await until('all to have ended', () => leash.processes().length === 0, {
    withinMs: 10_000,
    detail: () => JSON.stringify(leash.processes()),
  })
  return ended
}

/** A job that lives until it gets a signal, and what it leaves where it has started. */
const marking = (file: string): string[] => ['sh', '-c', 'echo >"$1"; exec sleep 60', 'sh', file]

const ownDirectory = (): Disposable & {file: (name: string) => string} => {
  const directory = scratchDirectory('signals')
  return {
    file: (name) => path.join(directory, name),
    [Symbol.dispose]: () => rmSync(directory, {recursive: true}),
  }
}

describe.each(signals)('%s', (signal) => {
  test('ends leash at any moment of its start, and the job with it', async () => {
    const moments = [0, 10, 25, 40, 60, 80, 100, 130]
    const ends = await Promise.all(
      moments.map(async (ms) => {
        await using leash = run(`start-${ms}`, ['sleep', '60'])
        await pause(ms)
        leash.kill(signal)
        return (await endOfAll(leash)).status
      }),
    )
    // By the default action, as long as there is no handler.
    expect(ends.filter((status) => status !== signal && status !== statusOf(signal))).toEqual([])
  })

  test('ends leash and the job at any moment between the ticket and the running job', async () => {
    using directory = ownDirectory()
    const moments = [0, 1, 2, 4, 7, 10, 15, 25]
    await Promise.all(
      moments.map(async (ms) => {
        const started = directory.file(String(ms))
        await using relay = await GrpcProxy.to(etcd)
        await using leash = run(`spawn-${ms}`, marking(started), relay.url)
        await until('the ticket to be asked for', () => relay.methods.includes('Txn'), {
          withinMs: 20_000,
          everyMs: 1,
        })
        await pause(ms)
        leash.kill(signal)
        expect(await endOfAll(leash)).toMatchObject({status: statusOf(signal), stdout: '', stderr: ''})
        const hadStarted = existsSync(started)
        await nothingLeft()
        expect(existsSync(started)).toBe(hadStarted)
      }),
    )
  })

  test('starts no job when it comes while the answer with the ticket is under way', async () => {
    using directory = ownDirectory()
    await using relay = await GrpcProxy.to(etcd)
    await using wire = await TcpProxy.to(relay)
    await using leash = run('answer', marking(directory.file('started')), wire.url)
    await until('a connection', () => wire.connectionCount > 0, {withinMs: 20_000, everyMs: 1})
    wire.delay(150)
    await until('the ticket to be asked for', () => relay.methods.includes('Txn'), {withinMs: 20_000})
    leash.kill(signal)
    expect(await endOfAll(leash)).toMatchObject({status: statusOf(signal), stdout: '', stderr: ''})
    expect(existsSync(directory.file('started'))).toBe(false)
  })

  test('is for the job to ignore: leash goes on and holds the lock', async () => {
    const script = `trap '' ${signal.slice(3)}; echo runs; read line; exit 7`
    await using relay = await GrpcProxy.to(etcd)
    await using leash = run('ignored', ['sh', '-c', script], relay.url)
    await leash.says(/runs/)
    leash.kill(signal)
    leash.kill(signal)
    const before = relay.methods.length
    await until('a renewal', () => relay.methods.slice(before).includes('Txn'), {withinMs: 10_000})
    expect(await keysUnder(etcd.url, 'leash/lock/ignored/')).toHaveLength(1)
    leash.endInput()
    expect(await endOfAll(leash)).toEqual({status: 7, stdout: 'runs\n', stderr: ''})
  })

  test('changes nothing while the lock is released, once or twice', async () => {
    await using relay = await GrpcProxy.to(etcd)
    await using wire = await TcpProxy.to(relay)
    await using leash = run('release', ['sh', '-c', 'echo runs; read line; exit 3'], wire.url)
    await leash.says(/runs/)
    const before = relay.methods.length
    wire.blackhole('toClient')
    leash.endInput()
    await until('the release', () => relay.methods.slice(before).includes('Txn'), {withinMs: 20_000})
    leash.kill(signal)
    leash.kill(signal)
    await wire.heal()
    expect((await endOfAll(leash)).status).toBe(3)
  })

  test('withdraws the ticket when it comes twice, before the withdrawal is answered', async () => {
    await using holder = run('queue', ['sh', '-c', 'echo runs; read line; exit 3'])
    await holder.says(/runs/)
    await using relay = await GrpcProxy.to(etcd)
    await using wire = await TcpProxy.to(relay)
    await using waiter = run('queue', ['echo', 'never'], wire.url)
    const queue = async () => (await keysUnder(etcd.url, 'leash/lock/queue/')).length
    await until('the waiter to queue', async () => (await queue()) === 2, {withinMs: 20_000})
    wire.delay(150)
    waiter.kill(signal)
    await pause(50)
    waiter.kill(signal)
    expect(await endOfAll(waiter)).toEqual({status: statusOf(signal), stdout: '', stderr: ''})
    expect(await queue()).toBe(1)
    holder.endInput()
    expect((await endOfAll(holder)).status).toBe(3)
  })

  test('reaches the job each time that it comes', async () => {
    const name = signal.slice(3)
    const script = `trap 'echo once; trap "echo twice; exit 9" ${name}' ${name}; echo runs; while :; do sleep 0.02; done`
    await using leash = run('twice', ['sh', '-c', script])
    await leash.says(/runs/)
    leash.kill(signal)
    await leash.says(/once/)
    leash.kill(signal)
    expect(await endOfAll(leash)).toMatchObject({status: 9, stdout: 'runs\nonce\ntwice\n'})
  })

  test('ends leash and the job also when nobody reads stdout and stderr', async () => {
    using directory = ownDirectory()
    const started = directory.file('started')
    // Their reader has gone; the status goes to a file.
    const through = [
      'sh',
      '-c',
      'ulimit -c 0; { "$@"; echo $? >"$0"; } 2>&1 | true',
      directory.file('status'),
    ]
    await using leash = run('unread', marking(started), etcd.url, through)
    await until('the job to start', () => existsSync(started), {withinMs: 20_000})
    const own = leash.processes().find(({command}) => /^\S*node .* run -l unread/.test(command))
    process.kill(own?.pid ?? NaN, signal)
    await endOfAll(leash)
    expect(readFileSync(directory.file('status'), 'utf8')).toBe(`${statusOf(signal)}\n`)
  })
})
