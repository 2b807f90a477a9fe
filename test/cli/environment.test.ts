import {afterAll, beforeAll, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {leases} from '../support/etcdGateway.ts'
import {type LeashOptions, leash, leashProgram} from './support/leash.ts'

let etcd: EtcdServer
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
})
afterAll(() => etcd[Symbol.asyncDispose]())

/** The job's environment as the kernel has it. The mark of the test is left out, and that of the job, whose name is chance. */
const environmentOfJob = async (
  args: readonly string[],
  options: LeashOptions,
): Promise<Map<string, string>> => {
  const {status, stdout, stderr} = await leash(['run', ...args, '/bin/cat', '/proc/self/environ'], options)
  expect({status, stderr}).toEqual({status: 0, stderr: ''})
  const entries = stdout.split('\0').slice(0, -1)
  return new Map(
    entries
      .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)] as const)
      .filter(([name]) => name !== 'LEASH_TEST_RUN' && !/^LEASH_RUN_[0-9a-f]{16}$/.test(name)),
  )
}

test('the job gets the environment of leash, and four variables about its lock', async () => {
  const onlyEnv = {
    EMPTY: '',
    LINES: 'a\nb=c\n',
    UNICODE: 'größe 🙂',
    LONG: 'x'.repeat(10_000),
    'not.a-name': '1',
    NODE_OPTIONS: '--no-warnings',
    NO_COLOR: '1',
    HOME: '/nowhere',
    LEASH_ENDPOINTS: etcd.url,
    LEASH_TTL: '20s',
  }
  const seen = await environmentOfJob(['-l', 'a/b'], {onlyEnv})
  const {LEASH_LOCK, LEASH_FENCE, LEASH_LEASE, LEASH_KEY, ...others} = Object.fromEntries(seen)
  expect(others).toEqual(onlyEnv)
  expect(LEASH_LOCK).toBe('a/b')
  expect(LEASH_FENCE).toMatch(/^[1-9]\d*$/)
  expect(LEASH_LEASE).toMatch(/^[1-9a-f][0-9a-f]*$/)
  expect(LEASH_KEY).toBe(`leash/lock/a%2Fb/${LEASH_LEASE}`)
})

test('the fencing token grows from holder to holder', async () => {
  const env = {LEASH_ENDPOINTS: etcd.url}
  const fences: bigint[] = []
  for (let i = 0; i < 3; i++) {
    fences.push(BigInt((await environmentOfJob(['-l', 'fence'], {env})).get('LEASH_FENCE') ?? 0))
  }
  expect(fences).toEqual(fences.toSorted((a, b) => (a < b ? -1 : 1)))
  expect(new Set(fences).size).toBe(3)
})

test('a raw key is the key itself', async () => {
  const seen = await environmentOfJob(['--raw-key', '-l', '/my/app/lock'], {env: {LEASH_ENDPOINTS: etcd.url}})
  expect(seen.get('LEASH_KEY')).toBe(`/my/app/lock/${seen.get('LEASH_LEASE')}`)
  expect(seen.get('LEASH_LOCK')).toBe('/my/app/lock')
})

test('what an outer run said of its locks is replaced or taken away', async () => {
  const outer = {LEASH_LOCK: 'outer', LEASH_FENCE: '1', LEASH_LEASE: 'f', LEASH_KEY: 'k', LEASH_LOCKS: '[]'}
  const seen = await environmentOfJob(['-l', 'inner'], {env: {LEASH_ENDPOINTS: etcd.url, ...outer}})
  expect(seen.get('LEASH_LOCK')).toBe('inner')
  expect(seen.has('LEASH_LOCKS')).toBe(false)
  for (const name of ['LEASH_FENCE', 'LEASH_LEASE', 'LEASH_KEY'] as const)
    expect(seen.get(name)).not.toBe(outer[name])
})

test('flags do not become variables', async () => {
  const options = ['--endpoints', etcd.url, '--ttl', '10s', '--connect-timeout', '5s']
  const seen = await environmentOfJob(['-l', 'x', ...options], {})
  expect([...seen.keys()].filter((name) => name.startsWith('LEASH_')).toSorted()).toEqual([
    'LEASH_FENCE',
    'LEASH_KEY',
    'LEASH_LEASE',
    'LEASH_LOCK',
  ])
})

test("etcdctl's own variable names the endpoints when leash's is not set", async () => {
  const seen = await environmentOfJob(['-l', 'x'], {env: {ETCDCTL_ENDPOINTS: etcd.url}})
  expect(seen.get('ETCDCTL_ENDPOINTS')).toBe(etcd.url)
})

test('names, exit codes and waiting never come from the environment', async () => {
  const env = {LEASH_ENDPOINTS: etcd.url, LEASH_WITH_LOCK: 'x', LEASH_NAME: 'x', LEASH_LOCK: 'x'}
  const unnamed = await leash(['run', 'true'], {env})
  expect(unnamed.status).toBe(64)
  const chosen = {
    ...env,
    LEASH_STATUS_FILE: '/nowhere/x',
    LEASH_NO_WAIT: '1',
    LEASH_SIGNAL: 'x',
    LEASH_WAIT: 'x',
  }
  expect(await leash(['run', '-l', 'x', 'true'], {env: chosen})).toEqual({status: 0, stdout: '', stderr: ''})
})

test.each(['/nowhere', ''])(
  "a PATH of %j is the job's alone, and keeps nothing of leash from its work",
  async (PATH) => {
    const seen = await environmentOfJob(['-l', 'x'], {onlyEnv: {LEASH_ENDPOINTS: etcd.url, PATH}})
    expect(seen.get('PATH')).toBe(PATH)
  },
)

test('what other programs read from the environment is none of our business', async () => {
  const proxy = 'http://127.0.0.1:1'
  const names = [
    'http_proxy',
    'HTTP_PROXY',
    'https_proxy',
    'HTTPS_PROXY',
    'all_proxy',
    'ALL_PROXY',
    'grpc_proxy',
  ]
  const proxies = Object.fromEntries(names.map((name) => [name, proxy]))
  const others = {DEBUG: '*', LEASH_DEBUG: '1', ...proxies}
  const seen = await environmentOfJob(['-l', 'x'], {env: {LEASH_ENDPOINTS: etcd.url, ...others}})
  expect(Object.fromEntries(seen)).toMatchObject(others)
})

test('runs inside runs take their own locks, and mark their jobs each by a name of its own', async () => {
  const inner = `"$NODE" "$LEASH" run -l b sh -c 'echo $LEASH_LOCK; env | grep -c ^LEASH_RUN_'`
  const script = `echo $LEASH_LOCK; ${inner}; echo $LEASH_LOCK`
  const {stdout, stderr} = await leash(['run', '-l', 'a', 'sh', '-c', script], {
    env: {LEASH_ENDPOINTS: etcd.url, NODE: process.execPath, LEASH: leashProgram},
  })
  expect({stdout, stderr}).toEqual({stdout: 'a\nb\n2\na\n', stderr: ''})
  expect(await leases(etcd.url)).toEqual([])
})
