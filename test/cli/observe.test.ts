import {afterEach, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {GrpcProxy} from '../support/GrpcProxy.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {deleteKey, grant, put} from '../support/etcdGateway.ts'
import {until} from '../support/wait.ts'
import {Leash, leash, type LeashOptions} from './support/leash.ts'
import {useEtcd} from './support/useEtcd.ts'

const etcd = useEtcd()
afterEach(() => etcd.empty())

const observing = (args: readonly string[], options: LeashOptions = {}): Leash =>
  new Leash(['observe', ...args], {env: {LEASH_ENDPOINTS: etcd.url}, ...options})

const first = 'leash/election/api/a'
const second = 'leash/election/api/b'
/** What it printed, without times and fencing tokens. */
const lines = (text: string): string[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) =>
      line.replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /, '').replace(/ \(fence \d+\)$/, ''),
    )

describe('observe', () => {
  test('prints who leads, and then one line for each change', async () => {
    await using observer = observing(['api'])
    await observer.says(/vacant\n/)
    await put(etcd.url, first, '10.0.0.1:80')
    await put(etcd.url, second, '10.0.0.2:80')
    await put(etcd.url, first, '10.0.0.1:81')
    await deleteKey(etcd.url, first)
    await deleteKey(etcd.url, second)
    await observer.says(/vacant\n[^]*vacant\n/)
    expect(observer.stdout).toMatch(/^(\S+Z (vacant|(elected|proclaimed) \S+ \(fence \d+\))\n)+$/)
    expect(lines(observer.stdout)).toEqual([
      'vacant',
      'elected 10.0.0.1:80',
      'proclaimed 10.0.0.1:81',
      'elected 10.0.0.2:80',
      'vacant',
    ])
    expect(observer.stderr).toBe('')
  })

  test('reads a queue that is longer than what gRPC takes by itself', async () => {
    for (const candidate of ['a', 'b', 'c', 'd', 'e'])
      await put(etcd.url, `leash/election/api/${candidate}`, candidate.repeat(1_000_000))
    await using observer = observing(['api'])
    await observer.says(/elected a/)
    await deleteKey(etcd.url, first)
    await observer.says(/elected b/)
  })

  test('prints one JSON object per line', async () => {
    const lease = await grant(etcd.url, 60)
    await using observer = observing(['--json', 'api'])
    await observer.says(/vacant.*\n/)
    await put(etcd.url, `leash/election/api/${lease}`, 'line\nbreak', lease)
    await observer.says(/elected.*\n/)
    const [vacant, elected] = observer.stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as object)
    const some = expect.stringMatching(/^\d+$/) as string
    const time = expect.stringMatching(/Z$/) as string
    expect(vacant).toEqual({event: 'vacant', time, revision: some})
    expect(elected).toEqual({
      ...{event: 'elected', time, revision: some, fence: some, lease},
      ...{key: `leash/election/api/${lease}`, value: 'line\nbreak', valueBase64: 'bGluZQpicmVhaw=='},
    })
  })

  test('--once prints the present state, and ends', async () => {
    const once = async (...args: string[]): Promise<string[]> => {
      const {status, stdout, stderr} = await leash(['observe', '--once', ...args], {
        env: {LEASH_ENDPOINTS: etcd.url},
      })
      expect({status, stderr}).toEqual({status: 0, stderr: ''})
      return lines(stdout)
    }
    expect(await once('api')).toEqual(['vacant'])
    expect(await once('--lock', 'api')).toEqual(['free'])
    await put(etcd.url, first, 'me')
    expect(await once('api')).toEqual(['elected me'])
    expect(await once('--raw-key', 'leash/election/api')).toEqual(['elected me'])
  })

  test('--lock prints who holds a lock, from the first holder to the next', async () => {
    await using observer = observing(['--lock', 'nightly'])
    await observer.says(/free\n/)
    const holding = (): Leash =>
      new Leash(['run', '-l', 'nightly', '--', 'sh', '-c', 'echo runs; read line'], {
        env: {LEASH_ENDPOINTS: etcd.url},
      })
    await using holder = holding()
    await holder.says(/runs/)
    await using next = holding()
    await observer.says(new RegExp(`held by \\S+ \\(pid ${holder.pid}\\)`))
    await until(
      'the next to wait',
      async () =>
        (await etcd.server.etcdctl('get', '--keys-only', '--prefix', 'leash/lock/')).trim().split(/\n+/)
          .length === 2,
      {withinMs: 10_000},
    )
    holder.endInput()
    await observer.says(new RegExp(`still held by \\S+ \\(pid ${next.pid}\\)`))
    next.endInput()
    await observer.says(/free\n[^]*free\n/)
    const told = lines(observer.stdout).map((line) => line.replace(/\S+@\S+ \(pid (\d+)\) since \S+$/, '$1'))
    expect(told.filter((line) => !line.startsWith('still'))).toEqual([
      'free',
      `held by ${holder.pid}`,
      `held by ${next.pid}`,
      'free',
    ])
  })

  test('goes on when etcd was restarted, and repeats nothing', async () => {
    await using own = await EtcdServer.start({version: '3.4'})
    await put(own.url, first, 'one')
    await using observer = observing(['api', '--endpoints', own.url])
    await observer.says(/elected one/)
    await own.kill()
    await own.restart()
    await put(own.url, first, 'two')
    await observer.says(/proclaimed two/)
    expect(lines(observer.stdout)).toEqual(['elected one', 'proclaimed two'])
  })

  test('says once that what it has shown may be stale, and once that it is confirmed again', async () => {
    await using link = await TcpProxy.to(etcd.server)
    await put(etcd.url, first, 'one')
    await using observer = observing(['api', '--json', '--stale-after', '2s', '--endpoints', link.url])
    await observer.says(/elected/)
    link.blackhole()
    await observer.says(/"event":"stale".*\n/)
    // Further readings are due and fail meanwhile.
    await put(etcd.url, first, 'two')
    await link.heal('reset')
    await observer.says(/"event":"fresh".*\n/)
    const events = observer.stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => (JSON.parse(line) as {event: string}).event)
    expect(events).toEqual(['elected', 'stale', 'proclaimed', 'fresh'])
    expect(observer.stderr).toMatch(
      /^leash: api: what was shown may be stale: not confirmed for 2\.\d s \(.+\)\nleash: api: what was shown is confirmed again\n$/,
    )
  })

  test('ends with 69 when etcd cannot be reached at the start', async () => {
    await using observer = observing([
      'api',
      '--endpoints',
      'http://127.0.0.1:1',
      '--connect-timeout',
      '300ms',
    ])
    const {status, stdout, stderr} = await observer.end()
    expect({status, stdout}).toEqual({status: 69, stdout: ''})
    expect(stderr).toContain('leash: api: etcd cannot be reached: ')
  })

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('ends with %s by %i', async (signal, status) => {
    await using observer = observing(['api'])
    await observer.says(/vacant\n/)
    observer.kill(signal)
    expect(await observer.end()).toMatchObject({status, stderr: ''})
  })

  test('ends quietly when nobody reads any more', async () => {
    const through = ['sh', '-c', '{ "$@"; echo "ended with $?" >&2; } | head -n 1', 'sh']
    await using observer = observing(['api'], {env: {LEASH_ENDPOINTS: etcd.url}, through})
    await observer.says(/vacant\n/)
    // The first change may come before head has gone.
    for (const value of ['one', 'two', 'three', 'four']) await put(etcd.url, first, value)
    await until(
      'it to end',
      async () => {
        await put(etcd.url, first, 'more')
        return observer.hasEnded
      },
      {withinMs: 20_000},
    )
    expect(await observer.end()).toMatchObject({stderr: 'ended with 0\n'})
    expect(lines(observer.stdout)).toEqual(['vacant'])
  })

  test('obeys a signal also while its reader has stalled', async () => {
    await using relay = await GrpcProxy.to(etcd)
    // Linux holds 64 KiB in a pipe.
    const through = ['sh', '-c', '{ head -c 65536 /dev/zero; exec "$@"; } | sleep 1000', 'sh']
    await using observer = observing(['api'], {env: {LEASH_ENDPOINTS: relay.url}, through})
    // What is there at the start is printed before that.
    await until('a watch', () => relay.methods.includes('Watch'), {withinMs: 10_000})
    const isLeash = ({command}: {command: string}): boolean => /^\S*node .* observe api$/.test(command)
    const [running] = observer.processes().filter(isLeash)
    if (running === undefined) throw new Error(observer.describe())
    process.kill(running.pid, 'SIGTERM')
    await until('leash to end', () => !observer.processes().some(isLeash), {withinMs: 10_000})
  })

  test('shows on one line what would move the cursor, begin a line or hide the rest', async () => {
    await using observer = observing(['api'])
    await observer.says(/vacant\n/)
    await put(etcd.url, first, 'a\u001b[2J\u202eb\nelected c')
    await observer.says(/elected.*\n/)
    expect(lines(observer.stdout)).toEqual(['vacant', 'elected a\\x1b[2J\\u{202e}b\\nelected c'])
  })
})
