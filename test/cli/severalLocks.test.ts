import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {deleteKey, keysUnder} from '../support/etcdGateway.ts'
import {GrpcProxy} from '../support/GrpcProxy.ts'
import {until} from '../support/wait.ts'
import {Shell} from './support/Shell.ts'
import {StatusFile} from './support/StatusFile.ts'
import {Leash, leash, leashProgram} from './support/leash.ts'
import {nothingLeft} from './support/nothingLeft.ts'

let etcd: EtcdServer
let env: Record<string, string>
beforeAll(async () => {
  etcd = await EtcdServer.start()
  env = {LEASH_ENDPOINTS: etcd.url}
})
afterAll(() => etcd[Symbol.asyncDispose]())

const untilTold = ['--', 'sh', '-c', 'echo runs; read line; :'] as const

const queueLength = async (name: string): Promise<number> =>
  (await keysUnder(etcd.url, `leash/lock/${name}/`)).length

/** What a job under `a` and `b` is told of its locks. */
interface Told {
  lock: string
  fence: string
  key: string
  lease: string
}

describe('a job under several locks', () => {
  test('knows them by LEASH_LOCKS alone, in the order of their keys, whatever leash itself inherited', async () => {
    const inherited = {
      LEASH_LOCK: 'outer',
      LEASH_FENCE: '1',
      LEASH_LEASE: 'f',
      LEASH_KEY: 'k',
      LEASH_LOCKS: '[]',
    }
    const {status, stdout} = await leash(['run', '-l', 'b', '-l', 'a/c', '-l', 'b', 'env'], {
      env: {...env, ...inherited},
    })
    expect(status).toBe(0)
    const variables = stdout.split('\n').filter((line) => /^LEASH_(LOCK|FENCE|LEASE|KEY)/.test(line))
    expect(variables).toHaveLength(1)
    const [name, text = ''] = /^(\w+)=(.*)$/.exec(variables[0] ?? '')?.slice(1) ?? []
    expect(name).toBe('LEASH_LOCKS')
    const locks = JSON.parse(text) as Told[]
    const [{fence = '', lease = ''} = {}] = locks
    expect(locks).toEqual([
      {lock: 'a/c', fence, key: `leash/lock/a%2Fc/${lease}`, lease},
      {lock: 'b', fence, key: `leash/lock/b/${lease}`, lease},
    ])
    expect(fence).toMatch(/^[1-9]\d*$/)
    expect(lease).toMatch(/^[0-9a-f]+$/)
    await nothingLeft(etcd)
  })

  test('that starts a leash for one more: that one knows its own, and no LEASH_LOCKS', async () => {
    const inner = `"$NODE" "$LEASH" run -l c sh -c 'echo $LEASH_LOCK; env | grep -c ^LEASH_LOCKS='`
    const {stdout} = await leash(['run', '-l', 'a', '-l', 'b', 'sh', '-c', inner], {
      env: {...env, NODE: process.execPath, LEASH: leashProgram},
    })
    expect(stdout).toBe('c\n0\n')
  })

  test.each([
    ['that are free', []],
    ['without waiting', ['-n']],
    ['of other programs', ['--raw-key']],
  ])('%s costs etcd four requests', async (_, flags) => {
    await using proxy = await GrpcProxy.to(etcd)
    const {status} = await leash(['run', ...flags, '-l', 'a', '-l', 'b', '--endpoints', proxy.url, 'true'])
    expect(status).toBe(0)
    expect(proxy.methods).toEqual(['LeaseGrant', 'Txn', 'Txn', 'LeaseRevoke'])
    await nothingLeft(etcd)
  })

  test('named twice holds one', async () => {
    const {status, stdout} = await leash(
      ['run', '-l', 'a', '-l', 'a', 'sh', '-c', 'echo $LEASH_LOCK $LEASH_LOCKS'],
      {
        env,
      },
    )
    expect({status, stdout}).toEqual({status: 0, stdout: 'a\n'})
  })

  test.each(['a', 'b'])(
    'is killed when its ticket of one, %s, is deleted: 79, and nothing is left',
    async (name) => {
      using file = new StatusFile()
      await using run = new Leash(['run', '--status-file', file.path, '-l', 'a', '-l', 'b', ...untilTold], {
        env,
      })
      await run.says(/runs/)
      const [ticket] = await keysUnder(etcd.url, `leash/lock/${name}/`)
      await deleteKey(etcd.url, ticket?.key ?? '')
      const {status, stderr} = await run.end()
      expect(status).toBe(79)
      expect(stderr).toMatch(/^leash: a, b: it was taken away .* and the job was killed; .*\n$/)
      expect(file.report()).toMatchObject({outcome: 'lost', cause: 'ticketGone', signal: 'SIGKILL'})
      await nothingLeft(etcd)
    },
  )

  test('says in the status file all that it held, and no single fence or key', async () => {
    using file = new StatusFile()
    await leash(['run', '--status-file', file.path, '-l', 'b', '-l', 'a', 'true'], {env})
    const report = file.report()
    const {lease} = report as {lease: string}
    const fence = expect.stringMatching(/^[1-9]\d*$/) as string
    expect(report).toMatchObject({
      lock: 'a, b',
      outcome: 'ended',
      fence: null,
      key: null,
      locks: [
        {lock: 'a', fence, key: `leash/lock/a/${lease}`},
        {lock: 'b', fence, key: `leash/lock/b/${lease}`},
      ],
    })
  })
})

describe('of several locks the second is held', () => {
  const hold = async (...names: string[]): Promise<Leash> => {
    const holder = new Leash(['run', ...names.flatMap((name) => ['-l', name]), ...untilTold], {env})
    await holder.says(/runs/)
    return holder
  }
  const end = async (holder: Leash): Promise<void> => {
    holder.endInput()
    expect((await holder.end()).status).toBe(0)
  }

  test('not to wait ends with 75 in silence, and with -v says which; nothing is left', async () => {
    await using holder = await hold('b')
    const [ticket] = await keysUnder(etcd.url, 'leash/lock/b/')
    expect(await leash(['run', '-n', '-l', 'a', '-l', 'b', 'true'], {env})).toEqual({
      status: 75,
      stdout: '',
      stderr: '',
    })
    const {stderr} = await leash(['run', '-v', '-n', '-l', 'a', '-l', 'b', 'true'], {env})
    expect(stderr).toMatch(/^leash: a, b: not acquired: b is held by .*; wait for it with -w\n$/)
    expect((await keysUnder(etcd.url, 'leash/lock/')).map(({key}) => key)).toEqual([ticket?.key])
    await end(holder)
    await nothingLeft(etcd)
  })

  test('a person who waits sees for which', async () => {
    await using holder = await hold('b')
    await using shell = await Shell.start(env)
    shell.run('leash run -l a -l b echo got it')
    await shell.says(/b: waiting for .* \(pid \d+\)/)
    expect(await queueLength('a')).toBe(1)
    await end(holder)
    await shell.says(/got it/)
    expect(await shell.status()).toBe(0)
    await nothingLeft(etcd)
  })

  test('to wait in vain gives the first back: 75', async () => {
    await using holder = await hold('b')
    await using waiter = new Leash(['run', '-v', '-w', '3s', '-l', 'a', '-l', 'b', 'true'], {env})
    await waiter.says(/somebody holds b; waiting/, 'stderr')
    expect(await queueLength('a')).toBe(1)
    expect((await waiter.end()).status).toBe(75)
    expect([await queueLength('a'), await queueLength('b')]).toEqual([0, 1])
    await end(holder)
    await nothingLeft(etcd)
  })

  test('to be interrupted while waiting gives the first back', async () => {
    await using holder = await hold('b')
    await using waiter = new Leash(['run', '-l', 'a', '-l', 'b', 'true'], {env})
    await until('the waiter to stand in the second queue', async () => (await queueLength('b')) === 2, {
      withinMs: 10_000,
    })
    waiter.kill('SIGTERM')
    expect((await waiter.end()).status).toBe(143)
    expect([await queueLength('a'), await queueLength('b')]).toEqual([0, 1])
    await end(holder)
    await nothingLeft(etcd)
  })

  test('two that name them in a different order get them one after the other', async () => {
    await using holder = await hold('b', 'a')
    await using one = new Leash(['run', '-l', 'a', '-l', 'b', ...untilTold], {env})
    await until('the first to wait', async () => (await queueLength('a')) === 2, {withinMs: 10_000})
    await using other = new Leash(['run', '-l', 'b', '-l', 'a', ...untilTold], {env})
    await until('the second to wait behind it', async () => (await queueLength('a')) === 3, {
      withinMs: 10_000,
    })
    expect(await queueLength('b')).toBe(1)
    await end(holder)
    await one.says(/runs/)
    expect(other.stdout).toBe('')
    await end(one)
    await other.says(/runs/)
    await end(other)
    await nothingLeft(etcd)
  })
})

test('--explain shows the queue and the mark of each, in the order in which they are taken', async () => {
  const {status, stdout} = await leash(['run', '--explain', '-l', 'b', '-l', 'a', 'true'], {env})
  expect(status).toBe(0)
  expect(stdout.split('\n').slice(0, 6)).toEqual([
    'lock      a',
    'queue     leash/lock/a/',
    'mark      leash/held/lock/a',
    'lock      b',
    'queue     leash/lock/b/',
    'mark      leash/held/lock/b',
  ])
})
