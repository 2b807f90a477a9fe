import {chmodSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {Machine} from './support/Machine.ts'
import {type Ended, leash} from './support/leash.ts'

// Where no mount namespace is to be had: what files say and whom they are believed is tested in test/unit/config.
describe.skipIf(!Machine.isPossible)('configuration files', () => {
  let etcd: EtcdServer
  beforeAll(async () => {
    etcd = await EtcdServer.start({version: '3.4'})
  })
  afterAll(() => etcd[Symbol.asyncDispose]())

  const run = (
    machine: Machine,
    args: string[],
    env: Record<string, string> = {},
    cwd = '/',
  ): Promise<Ended> => leash(['run', '-l', 'x', ...args], {env, cwd, through: machine.through})

  /** Each setting with its origin, as `--explain` has it. */
  const settings = async (
    machine: Machine,
    args: string[] = [],
    env: Record<string, string> = {},
  ): Promise<string[]> => {
    const {status, stdout, stderr} = await run(machine, [...args, '--explain', 'true'], env)
    expect({status, stderr}).toEqual({status: 0, stderr: ''})
    return [...stdout.matchAll(/^setting +(.*)$/gm)].map(([, setting]) => setting ?? '')
  }

  test('without any endpoint, leash names all ways to give one, and no job runs', async () => {
    using machine = new Machine()
    expect(await run(machine, ['echo', 'never'])).toEqual({
      status: 78,
      stdout: '',
      stderr:
        'leash: x: no etcd endpoint is configured; set LEASH_ENDPOINTS, or write LEASH_ENDPOINTS=host:2379 to /etc/leash/leash.env; for locks of this user on this machine alone give --local, or LEASH_ENDPOINTS=local\n',
    })
  })

  test("an endpoint in the system's or the user's file is used, and nothing of it reaches the job", async () => {
    using machine = new Machine()
    machine.writeSystemFile(`LEASH_ENDPOINTS=${etcd.url}\nLEASH_TTL=20s\n`)
    machine.writeUserFile('LEASH_PREFIX=mine/\n')
    const {status, stdout, stderr} = await run(machine, ['env'])
    expect({status, stderr}).toEqual({status: 0, stderr: ''})
    expect(stdout).toMatch(/^LEASH_KEY=mine\/lock\/x\//m)
    expect(stdout).not.toMatch(/^LEASH_(ENDPOINTS|TTL|PREFIX)=/m)
    expect(stdout).not.toContain(etcd.url)
  })

  test('flag, environment, user and system are asked in this order, each setting for itself', async () => {
    using machine = new Machine()
    machine.writeSystemFile(
      'LEASH_ENDPOINTS=system:1\nLEASH_PREFIX=system/\nLEASH_TTL=21s\nLEASH_LOCK_DELAY=1s\nLEASH_CONNECT_TIMEOUT=21s\n',
    )
    machine.writeUserFile('LEASH_PREFIX=user/\nLEASH_TTL=22s\nLEASH_LOCK_DELAY=2s\n')
    const env = {LEASH_TTL: '23s', LEASH_LOCK_DELAY: '3s'}
    expect(await settings(machine, ['--lock-delay', '4s'], env)).toEqual([
      'endpoints http://system:1 (LEASH_ENDPOINTS in /etc/leash/leash.env)',
      `prefix user/ (LEASH_PREFIX in ${machine.userFile})`,
      'connect-timeout 21s (LEASH_CONNECT_TIMEOUT in /etc/leash/leash.env)',
      'ttl 23s (LEASH_TTL)',
      'lock-delay 4s (--lock-delay)',
      'grace in proportion to the TTL (default)',
    ])
  })

  test('a profile stands in place of leash.env', async () => {
    using machine = new Machine()
    machine.writeSystemFile('LEASH_ENDPOINTS=production:1\nLEASH_TTL=21s\n')
    machine.writeSystemFile('LEASH_ENDPOINTS=staging:1\n', 'staging.env')
    const [endpoints, , , ttl] = await settings(machine, ['--profile', 'staging'])
    expect(endpoints).toBe('endpoints http://staging:1 (LEASH_ENDPOINTS in /etc/leash/staging.env)')
    expect(ttl).toBe('ttl 30s (default)')
    expect((await settings(machine, [], {LEASH_PROFILE: 'staging'}))[0]).toBe(endpoints)
  })

  test('neither the working directory nor HOME is looked at', async () => {
    using machine = new Machine()
    const elsewhere = path.join(machine.root, 'elsewhere')
    const text = `LEASH_ENDPOINTS=${etcd.url}\n`
    for (const name of ['leash.env', '.env', '.config/leash/leash.env'])
      machine.write(path.join(elsewhere, name), text)
    const env = {HOME: elsewhere, XDG_CONFIG_HOME: path.join(elsewhere, '.config')}
    expect((await run(machine, ['echo', 'never'], env, elsewhere)).status).toBe(78)
  })

  test.each([
    ['a file', 0, 'leash.env can be written by others than its owner'],
    ['a directory', 1, 'leash can be written by others than its owner, so others could replace leash.env'],
  ])(
    '%s that others can write is refused, and the way out is a command to type',
    async (_, up, complaint) => {
      using machine = new Machine()
      machine.writeUserFile(`LEASH_ENDPOINTS=${etcd.url}\n`)
      const target = up === 0 ? machine.userFile : path.dirname(machine.userFile)
      chmodSync(target, 0o777)
      expect(await run(machine, ['echo', 'never'])).toEqual({
        status: 78,
        stdout: '',
        stderr: `leash: x: ${path.dirname(target)}/${complaint}; check what is in it, then: chmod go-w ${target}\n`,
      })
    },
  )

  test('a mistake in a file is named by line', async () => {
    using machine = new Machine()
    machine.writeSystemFile(`# etcd\nLEASH_ENDPOINTS=${etcd.url}\nLEASH_TTLL=5s\n`)
    const {status, stderr} = await run(machine, ['echo', 'never'])
    expect(status).toBe(78)
    expect(stderr).toBe(
      'leash: x: line 3 of /etc/leash/leash.env sets LEASH_TTLL, which a file cannot set; write LEASH_TTL if you mean that, or remove the line\n',
    )
  })
})
