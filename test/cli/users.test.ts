import {chmodSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {Authority} from '../support/Authority.ts'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {
  asRoot,
  credentials,
  enableUsers,
  keysAsRoot,
  password,
  type Right,
  role,
  user,
} from '../support/etcdUsers.ts'
import {isAlive} from '../support/processes.ts'
import {GrpcProxy} from '../support/GrpcProxy.ts'
import {scratchDirectory} from '../support/scratch.ts'
import {until} from '../support/wait.ts'
import {type Ended, Leash, leash} from './support/leash.ts'

/** All that the lock `x` needs; test/cli/minimalRoles.test.ts has the rest. */
const minimal: readonly Right[] = [
  {type: 'READWRITE', key: 'leash/lock/x/', prefix: true},
  {type: 'READWRITE', key: 'leash/held/lock/x'},
  {type: 'READWRITE', key: 'leash/held/beside/x/', prefix: true},
]
const holdingFor = (ttl: string): string[] => [
  ...['run', '-l', 'x', '--ttl', ttl],
  ...['--', 'sh', '-c', 'echo "runs $$"; read line'],
]
const holding = holdingFor('10m')

const start = async (version: EtcdVersion, rights: readonly Right[]): Promise<EtcdServer> => {
  const etcd = await EtcdServer.start({version})
  await enableUsers(etcd.url, rights)
  return etcd
}

describe.each<[EtcdVersion]>([['3.4'], ['3.5']])('with the users of etcd %s', (version) => {
  let etcd: EtcdServer
  let env: Record<string, string>
  beforeAll(async () => {
    etcd = await start(version, minimal)
    env = {...credentials, LEASH_ENDPOINTS: etcd.url}
  })
  afterAll(() => etcd[Symbol.asyncDispose]())

  test('an uncontended lock and unlock is one request more', async () => {
    await using proxy = await GrpcProxy.to(etcd)
    const end = await leash(['run', '-l', 'x', 'true'], {env: {...env, LEASH_ENDPOINTS: proxy.url}})
    expect(end).toEqual({status: 0, stdout: '', stderr: ''})
    expect(proxy.methods).toEqual(['Authenticate', 'LeaseGrant', 'Txn', 'Txn', 'LeaseRevoke'])
  })

  test('the minimal role suffices to wait, to run and to leave nothing', async () => {
    await using holder = new Leash(holding, {env})
    await holder.says(/runs/)
    await using waiter = new Leash(holding, {env})
    await until('two tickets', async () => (await keysAsRoot(etcd)).length === 3, {withinMs: 10_000})
    holder.endInput()
    expect(await holder.end()).toMatchObject({status: 1, stderr: ''})
    await waiter.says(/runs/)
    waiter.endInput()
    expect(await waiter.end()).toMatchObject({status: 1, stderr: ''})
    expect(await keysAsRoot(etcd)).toEqual([])
    expect(await asRoot(etcd, 'lease', 'list')).toMatch(/found 0 leases/)
  })

  test('and for the clean end that the guard makes when leash was killed', async () => {
    await using run = new Leash(holding, {env})
    const [job] = /\d+/.exec(await run.says(/runs \d+/)) ?? []
    run.kill('SIGKILL')
    await until('the job to end', () => !isAlive(Number(job)), {withinMs: 10_000})
    await until('ticket and mark to go', async () => (await keysAsRoot(etcd)).length === 0, {
      withinMs: 10_000,
    })
  })

  test.each([
    [0, 'READ', `write leash/lock/x/...`, 'leash/lock/x/ --prefix'],
    [0, 'WRITE', `read leash/lock/x/...`, 'leash/lock/x/ --prefix'],
    [1, 'READ', `write leash/held/lock/x`, 'leash/held/lock/x'],
    [1, 'WRITE', `read leash/held/lock/x`, 'leash/held/lock/x'],
    [2, 'WRITE', `read leash/held/beside/x/...`, 'leash/held/beside/x/ --prefix'],
  ] as const)(
    'one right less is a refusal that names it: %i has only %s',
    async (index, type, lacking, keys) => {
      const less = minimal.map((right, at) => (at === index ? {...right, type} : right))
      await using narrow = await start(version, less)
      const end = await leash(holding, {env: {...env, LEASH_ENDPOINTS: narrow.url}})
      expect(end).toEqual({
        status: 77,
        stdout: '',
        stderr: `leash: x: etcd at ${narrow.url} denies user "deploy" to ${lacking}; grant it: etcdctl role grant-permission leash readwrite ${keys}\n`,
      })
      expect(await keysAsRoot(narrow)).toEqual([])
      // And that is the way out.
      await asRoot(narrow, 'role', 'grant-permission', role, 'readwrite', ...keys.split(' '))
      expect((await leash(holding, {env: {...env, LEASH_ENDPOINTS: narrow.url}})).status).toBe(1)
    },
  )

  test('a client certificate is name enough, if its name has a role', async () => {
    using authority = new Authority()
    const secure = {...authority.issue('IP:127.0.0.1'), clientCa: authority.certificate}
    await using mutual = await EtcdServer.start({version, secure})
    const client = authority.issue('DNS:client')
    await enableUsers(mutual.url, minimal)
    const end = (): Promise<Ended> =>
      leash(['run', '-l', 'x', 'true'], {
        env: {
          LEASH_ENDPOINTS: mutual.secureUrl,
          LEASH_CACERT: authority.certificate,
          LEASH_CLIENT_CERT: client.certificate,
          LEASH_CLIENT_KEY: client.key,
        },
      })
    await asRoot(mutual, 'user', 'add', `${client.name}:any`)
    const refused = await end()
    expect(refused.status).toBe(77)
    expect(refused.stderr).toContain(
      'denies whom our client certificate names to read and write leash/lock/x/..., and to read and write leash/held/lock/x, and to read leash/held/beside/x/...; grant it:',
    )
    await asRoot(mutual, 'user', 'grant-role', client.name, role)
    expect(await end()).toEqual({status: 0, stdout: '', stderr: ''})
  })

  test('a role for other keys is a refusal that names all that is missing', async () => {
    const {status, stderr} = await leash(['run', '-l', 'y', 'true'], {env})
    expect(status).toBe(77)
    expect(stderr).toBe(
      `leash: y: etcd at ${etcd.url} denies user "deploy" to read and write leash/lock/y/..., and to read and write leash/held/lock/y, and to read leash/held/beside/y/...; ` +
        'grant it: etcdctl role grant-permission leash readwrite leash/lock/y/ --prefix && etcdctl role grant-permission leash readwrite leash/held/lock/y && etcdctl role grant-permission leash readwrite leash/held/beside/y/ --prefix\n',
    )
  })

  test.each([
    ['a wrong password', {LEASH_PASSWORD: 'wrong'}, user],
    ['an unknown user', {LEASH_USER: 'nobody'}, 'nobody'],
  ])('%s is a refusal that names the user', async (_, wrong, name) => {
    expect(await leash(holding, {env: {...env, ...wrong}})).toEqual({
      status: 77,
      stdout: '',
      stderr: `leash: x: etcd at ${etcd.url} does not accept the password of user "${name}", or has no such user; check LEASH_USER and the password\n`,
    })
  })

  test('nobody is a refusal that says how to be somebody', async () => {
    expect(await leash(holding, {env: {LEASH_ENDPOINTS: etcd.url}})).toEqual({
      status: 77,
      stdout: '',
      stderr: `leash: x: etcd at ${etcd.url} wants to know a user, and leash was given none; set LEASH_USER and LEASH_PASSWORD_FILE\n`,
    })
  })

  test('where nobody is asked for a name a name does no harm, and it is asked for when that changes', async () => {
    await using young = await EtcdServer.start({version})
    await using proxy = await GrpcProxy.to(young)
    const made = (method: string): number => proxy.methods.filter((one) => one === method).length
    const twoRenewals = async (): Promise<void> => {
      const before = made('LeaseKeepAlive')
      await until('two renewals', () => made('LeaseKeepAlive') >= before + 2, {withinMs: 10_000})
    }
    await using run = new Leash(holdingFor('3s'), {
      env: {...env, LEASH_ENDPOINTS: proxy.url},
    })
    await run.says(/runs/)
    await twoRenewals()
    expect(made('Authenticate')).toBe(1)
    await enableUsers(young.url, minimal)
    await until('a name to be said', () => made('Authenticate') === 2, {withinMs: 10_000})
    await twoRenewals()
    run.endInput()
    expect(await run.end()).toMatchObject({status: 1, stderr: ''})
    expect(await keysAsRoot(young)).toEqual([])
  })
})

describe('a password', () => {
  let etcd: EtcdServer
  let env: Record<string, string>
  const directory = scratchDirectory('password')
  const file = path.join(directory, 'password')
  beforeAll(async () => {
    etcd = await start('3.4', minimal)
    env = {LEASH_ENDPOINTS: etcd.url, LEASH_USER: user, LEASH_INSECURE_TRANSPORT: 'true'}
    writeFileSync(file, `${password}\n`)
    chmodSync(file, 0o600)
  })
  afterAll(async () => {
    await etcd[Symbol.asyncDispose]()
    rmSync(directory, {recursive: true})
  })

  test.each<[string, string[], Record<string, string>]>([
    ['LEASH_PASSWORD', [], {LEASH_PASSWORD: password}],
    ['LEASH_USER=NAME:PASSWORD', [], {LEASH_USER: `${user}:${password}`}],
    ['ETCDCTL_USER=NAME:PASSWORD', [], {LEASH_USER: '', ETCDCTL_USER: `${user}:${password}`}],
    ['ETCDCTL_PASSWORD', [], {LEASH_USER: '', ETCDCTL_USER: user, ETCDCTL_PASSWORD: password}],
    ['LEASH_PASSWORD_FILE', [], {LEASH_PASSWORD_FILE: 'password'}],
    ['--password-file', ['--password-file', 'password'], {}],
  ])(
    'is taken from %s, is seen by nobody, and the guard makes the clean end with it',
    async (_, flags, more) => {
      const status = path.join(directory, 'status')
      const lines = 'echo "runs $$"; env; read line'
      await using run = new Leash(
        ['run', '-v', ...flags, '-l', 'x', '--status-file', status, '--', 'sh', '-c', lines],
        {env: {...env, ...more}, cwd: directory},
      )
      const [job] = /\d+/.exec(await run.says(/runs \d+/)) ?? []
      await run.says(/^PATH=/m)
      const seen = [...run.processes().map(({command}) => command), run.stdout, run.stderr]
      expect(seen.join('\n')).not.toContain(password)
      run.kill('SIGKILL')
      await until('the job to end', () => !isAlive(Number(job)), {withinMs: 10_000})
      await until('ticket and mark to go', async () => (await keysAsRoot(etcd)).length === 0, {
        withinMs: 10_000,
      })
      const end = await leash(['run', ...flags, '-l', 'x', '--status-file', status, 'true'], {
        env: {...env, ...more},
        cwd: directory,
      })
      expect(end).toEqual({status: 0, stdout: '', stderr: ''})
      expect(readFileSync(status, 'utf8')).not.toContain(password)
      const {stdout} = await leash(['run', ...flags, '-l', 'x', '--explain', 'true'], {
        env: {...env, ...more},
        cwd: directory,
      })
      expect(stdout).toContain(`user ${user} (`)
      expect(stdout).not.toContain(password)
    },
  )

  test('is not sent in plain text if nobody has allowed that', async () => {
    const {LEASH_INSECURE_TRANSPORT: _, ...silent} = env
    const more = {LEASH_PASSWORD: password}
    const {status, stderr} = await leash(['run', '-l', 'x', 'true'], {env: {...silent, ...more}})
    expect(status).toBe(78)
    expect(stderr).toBe(
      'leash: x: the password from LEASH_PASSWORD would be sent in plain text, because the endpoints are http; ' +
        'write https:// for every endpoint, or allow it with --insecure-transport where nobody else can listen\n',
    )
    const allowed = await leash(['run', '--insecure-transport', '-l', 'x', 'true'], {
      env: {...silent, ...more},
    })
    expect(allowed).toEqual({status: 0, stdout: '', stderr: ''})
  })

  test('is not for a job, but the name of its file is', async () => {
    const more = {LEASH_PASSWORD_FILE: file, ETCDCTL_PASSWORD: password, ETCDCTL_USER: `root:${password}`}
    const {stdout} = await leash(['run', '-l', 'x', 'env'], {env: {...env, ...more}})
    expect(stdout.match(/^(LEASH_USER|LEASH_PASSWORD|ETCDCTL).*$/gm)).toEqual([
      `LEASH_USER=${user}`,
      `LEASH_PASSWORD_FILE=${file}`,
    ])
  })
})
