import {spawn} from 'node:child_process'
import {writeFileSync} from 'node:fs'
import {hostname} from 'node:os'
import {join} from 'node:path'
import {afterAll, describe, expect, test} from 'vitest'
import {deleteKey, keysUnder, revoke} from '../support/etcdGateway.ts'
import {until} from '../support/wait.ts'
import {TemporaryWorld} from '../unit/config/temporaryWorld.ts'
import {StatusFile} from './support/StatusFile.ts'
import {Leash, leash} from './support/leash.ts'
import {nothingLeft} from './support/nothingLeft.ts'
import {useEtcd} from './support/useEtcd.ts'

const etcd = useEtcd()
const soon = {withinMs: 20_000}

/** Who is kept, and ended if its leadership is lost. */
const kept = spawn('sleep', ['1000'])
afterAll(() => kept.kill())

const queue = (): ReturnType<typeof keysUnder> => keysUnder(etcd.url, 'leash/election/api/')
const env = (): Record<string, string> => ({LEASH_ENDPOINTS: etcd.url})
const run = (...args: string[]): ReturnType<typeof leash> => leash(args, {env: env()})
const campaign = (...args: string[]): Leash => new Leash(['campaign', 'api', ...args], {env: env()})
const untilTold = ['--', 'sh', '-c', 'echo runs; read line; :'] as const

/** The lease at the end of a ticket's key. */
const leaseOf = (key: string): string => key.slice(key.lastIndexOf('/') + 1)

describe('campaign -- COMMAND', () => {
  test('runs it while it leads, which it knows by LEASH_ELECTION; the status is its own, and nothing is left', async () => {
    const {status, stdout, stderr} = await run(
      'campaign',
      'api',
      '--',
      'sh',
      '-c',
      'env | grep ^LEASH_; exit 7',
    )
    expect({status, stderr}).toEqual({status: 7, stderr: ''})
    const variables = stdout.split('\n').filter((line) => !/^LEASH_(ENDPOINTS|RUN_|TEST_RUN)/.test(line))
    expect(variables.toSorted().filter(Boolean)).toEqual([
      'LEASH_ELECTION=api',
      expect.stringMatching(/^LEASH_FENCE=[1-9]\d*$/),
      expect.stringMatching(/^LEASH_KEY=leash\/election\/api\/[0-9a-f]+$/),
      expect.stringMatching(/^LEASH_LEASE=[0-9a-f]+$/),
    ])
    await nothingLeft(etcd)
  })

  test('has its proposal in its ticket, byte for byte, and who it is beside it', async () => {
    await using leader = campaign('--value', 'größe:80 ', ...untilTold)
    await leader.says(/runs/)
    const [ticket] = await queue()
    expect(ticket?.value).toBe('größe:80 ')
    const [meta] = await keysUnder(etcd.url, `leash/meta/${leaseOf(ticket?.key ?? '')}`)
    expect(JSON.parse(meta?.value ?? '')).toMatchObject({pid: leader.pid})
    leader.endInput()
    expect((await leader.end()).status).toBe(0)
    await nothingLeft(etcd)
  })

  test('has room for the longest proposal, for who leads and for who waits', async () => {
    using world = new TemporaryWorld()
    const file = join(world.root, 'value')
    writeFileSync(file, 'v'.repeat(512 * 1024))
    await using leader = campaign('--value-file', file, ...untilTold)
    await leader.says(/runs/)
    await using next = campaign('--value-file', file, ...untilTold)
    await until('the next one to line up', async () => (await queue()).length === 2, soon)
    leader.endInput()
    expect(await leader.end()).toMatchObject({status: 0, stderr: ''})
    await next.says(/runs/)
    next.endInput()
    expect(await next.end()).toMatchObject({status: 0, stderr: ''})
    await nothingLeft(etcd)
  })

  test('is succeeded in the order of arrival', async () => {
    await using first = campaign('--value', '1', ...untilTold)
    await first.says(/runs/)
    const candidates: Leash[] = []
    try {
      for (const value of ['2', '3']) {
        candidates.push(campaign('--value', value, ...untilTold))
        await until('it to stand', async () => (await queue()).some((one) => one.value === value), soon)
      }
      const [second, third] = candidates
      first.endInput()
      await second?.says(/runs/)
      expect(third?.stdout).toBe('')
      second?.endInput()
      await third?.says(/runs/)
      third?.endInput()
      expect((await third?.end())?.status).toBe(0)
      await nothingLeft(etcd)
    } finally {
      for (const candidate of candidates) await candidate[Symbol.asyncDispose]()
    }
  })

  test('is killed when its ticket is deleted: 79; with --rejoin it stands again, and runs it again', async () => {
    await using leader = campaign('--rejoin', ...untilTold)
    await leader.says(/runs/)
    const [ticket] = await queue()
    await deleteKey(etcd.url, ticket?.key ?? '')
    await leader.says(/runs\nruns/)
    expect(leader.stderr).toMatch(/^leash: api: .* the job was killed; .*; campaigning again in [\d.]+ s\n/)
    leader.endInput()
    expect((await leader.end()).status).toBe(0)
    await using once = campaign(...untilTold)
    await once.says(/runs/)
    await deleteKey(etcd.url, (await queue())[0]?.key ?? '')
    expect((await once.end()).status).toBe(79)
    await nothingLeft(etcd)
  })

  test('with --rejoin ends when it is told to while it waits for its next try', async () => {
    await using leader = campaign('--rejoin', ...untilTold)
    await leader.says(/runs/)
    await deleteKey(etcd.url, (await queue())[0]?.key ?? '')
    await until('it to say so', () => leader.stderr.includes('campaigning again'), soon)
    leader.kill('SIGTERM')
    expect((await leader.end()).status).toBe(143)
    expect(await queue()).toEqual([])
    await etcd.empty()
  })

  test('reports its end in the status file', async () => {
    using file = new StatusFile()
    await run('campaign', 'api', '--status-file', file.path, '--', 'true')
    expect(file.report()).toMatchObject({lock: 'api', outcome: 'ended', exitStatus: 0})
  })
})

describe('campaign without a command', () => {
  test('says when it leads, with fence and key; resigns at a signal, and ends with 128 and its number', async () => {
    await using leader = campaign()
    await leader.says(/elected/)
    const [ticket] = await queue()
    expect(leader.stdout).toBe(`elected ${ticket?.createRevision} ${ticket?.key}\n`)
    leader.kill('SIGTERM')
    expect(await leader.end()).toMatchObject({status: 143, stderr: ''})
    await nothingLeft(etcd)
  })

  test('--json says the same as an object', async () => {
    await using leader = campaign('--json')
    await leader.says(/elected/)
    const [ticket] = await queue()
    const {key = '', createRevision = 0n} = ticket ?? {}
    expect(JSON.parse(leader.stdout)).toEqual({
      event: 'elected',
      election: 'api',
      fence: createRevision.toString(),
      key,
      lease: leaseOf(key),
    })
    leader.kill('SIGINT')
    expect((await leader.end()).status).toBe(130)
  })

  test('ends with 79 when it is lost, and --rejoin leads again, with another fence', async () => {
    await using leader = campaign()
    await leader.says(/elected/)
    await revoke(etcd.url, leaseOf((await queue())[0]?.key ?? ''))
    expect((await leader.end()).status).toBe(79)
    await using again = campaign('--rejoin')
    await again.says(/elected/)
    await revoke(etcd.url, leaseOf((await queue())[0]?.key ?? ''))
    await again.says(/elected .*\nelected /)
    const [first, second] = again.stdout.split('\n').map((line) => BigInt(line.split(' ')[1] ?? 0))
    expect(second).toBeGreaterThan(first ?? 0n)
    again.kill('SIGTERM')
    expect((await again.end()).status).toBe(143)
    await etcd.empty()
  })

  test('-n ends with 75 when somebody leads, and says who only if it was told to be verbose', async () => {
    await using leader = campaign()
    await leader.says(/elected/)
    expect(await run('campaign', '-n', 'api')).toMatchObject({status: 75, stdout: '', stderr: ''})
    const key = (await queue())[0]?.key
    for (const command of [[], ['--', 'true']]) {
      const {status, stderr} = await run('campaign', '-n', '-v', 'api', ...command)
      expect({status, stderr}).toEqual({
        status: 75,
        stderr: `leash: api: not elected: led by "${hostname()}" (${key}); wait for it with -w\n`,
      })
    }
    expect(await queue()).toHaveLength(1)
    leader.kill('SIGTERM')
    await leader.end()
    await nothingLeft(etcd)
  })

  test('withdraws when it is told to end while it waits', async () => {
    await using leader = campaign()
    await leader.says(/elected/)
    await using waiter = campaign()
    await until('it to stand', async () => (await queue()).length === 2, soon)
    waiter.kill('SIGTERM')
    expect(await waiter.end()).toMatchObject({status: 143, stdout: ''})
    expect(await queue()).toHaveLength(1)
    leader.kill('SIGTERM')
    await leader.end()
    await nothingLeft(etcd)
  })
})

describe('campaign --keep', () => {
  test('leaves a handle, by which it proclaims, is checked, and resigns; to resign twice is harmless', async () => {
    const {status, stdout} = await run('campaign', 'api', '--keep', String(kept.pid), '--value', 'one')
    expect(status).toBe(0)
    const by = (...args: string[]): ReturnType<typeof leash> => run(...args, '--handle', stdout.trim())
    const silent = {status: 0, stdout: '', stderr: ''}
    expect(await by('proclaim', '--value', 'two')).toEqual(silent)
    expect((await queue()).map(({value}) => value)).toEqual(['two'])
    expect(await by('check')).toEqual(silent)
    expect(await by('resign')).toEqual(silent)
    expect(await by('resign')).toEqual(silent)
    expect((await by('proclaim', '--value', 'three')).status).toBe(79)
    await nothingLeft(etcd)
    await etcd.empty()
  })

  test('prints the handle again of who leads already, and proclaims the value that is given', async () => {
    const stand = ['campaign', 'api', '--keep', String(kept.pid)]
    const {stdout} = await run(...stand, '--value', 'one')
    const again = async (...args: string[]): Promise<void> => {
      const withHandle = {env: {...env(), LEASH_HANDLE: stdout.trim()}}
      expect(await leash([...stand, ...args], withHandle)).toEqual({status: 0, stdout, stderr: ''})
    }
    await again('--value', 'two')
    expect((await queue()).map(({value}) => value)).toEqual(['two'])
    await again()
    expect((await queue()).map(({value}) => value)).toEqual(['two'])
    expect((await run('resign', '--handle', stdout.trim())).status).toBe(0)
    await nothingLeft(etcd)
    await etcd.empty()
  })

  test('is no lock, though both may have one key: 75', async () => {
    const keep = ['--raw-key', 'both', '--keep', String(kept.pid)]
    const {stdout} = await run('campaign', ...keep)
    const withHandle = {env: {...env(), LEASH_HANDLE: stdout.trim()}}
    expect(await leash(['acquire', ...keep], withHandle)).toMatchObject({status: 75, stdout: ''})
    expect((await run('resign', '--handle', stdout.trim())).status).toBe(0)
    await etcd.empty()
  })

  test('--export prints LEASH_ELECTION, and unsets LEASH_LOCK', async () => {
    const {stdout} = await run('campaign', 'api', '--keep', String(kept.pid), '--export')
    expect(stdout).toMatch(/LEASH_ELECTION=\W*api/)
    expect(stdout).toMatch(/unset .*LEASH_LOCK/)
    const [, handle = ''] = /LEASH_HANDLE='?([^\s';]+)/.exec(stdout) ?? []
    expect((await run('resign', '--handle', handle)).status).toBe(0)
    await etcd.empty()
  })

  test.each([
    ['proclaimed by', ['proclaim', '--value', 'x'], 'leash campaign NAME --keep $$'],
    ['resigned from', ['resign'], 'leash release'],
  ])('a lock is not %s: 64, and it stays', async (_, words, wayOut) => {
    const {stdout} = await run('acquire', 'x', '--ttl', '60s')
    const {status, stderr} = await run(...words, '--handle', stdout.trim())
    expect(status).toBe(64)
    expect(stderr).toContain('this handle is of a lock')
    expect(stderr).toContain(wayOut)
    expect(await keysUnder(etcd.url, 'leash/lock/x/')).toHaveLength(1)
    await etcd.empty()
  })

  test('release gives a leadership back, too', async () => {
    const {stdout} = await run('campaign', 'api', '--keep', String(kept.pid))
    expect((await run('release', '--handle', stdout.trim())).status).toBe(0)
    await nothingLeft(etcd)
    await etcd.empty()
  })
})

test('--export without --keep is refused, and eval ends with that', async () => {
  const {status, stdout, stderr} = await run('campaign', 'api', '--export')
  expect({status, stdout}).toEqual({status: 64, stdout: '(exit 64)\n'})
  expect(stderr).toContain('--export is for --keep')
})

test("a command's own options are not ours, whatever they are called", async () => {
  const echo = ['sh', '-c', 'echo "$@"', '--', '--export', '--keep', '1']
  expect(await run('campaign', 'api', '--', ...echo)).toMatchObject({
    status: 0,
    stdout: '--export --keep 1\n',
  })
})

describe('wrong usage of campaign is 64, and says what', () => {
  test.each<[string[], RegExp]>([
    [[], /there is no election to stand in/],
    [['a', 'b'], /"b" is a second name/],
    [['a', '--'], /there is no command to run/],
    [['a', '--leftovers', 'kill'], /--leftovers is for a command/],
    [['a', '--status-file', '/tmp/x'], /--status-file is for a command/],
    [['a', '--json', '--', 'true'], /--json is for a campaign without a command/],
    [['a', '--signal', 'INT'], /--signal is for a command, or for --keep/],
    [['a', '--keep', '1', '--', 'true'], /--keep and a command do not go together/],
    [['a', '--keep', '1', '--rejoin'], /--keep and --rejoin do not go together/],
    [['a', '--value', 'x', '--value-file', 'y'], /--value/],
    [['a', '--value-file', '/nowhere/x'], /"\/nowhere\/x" with the value cannot be read: ENOENT/],
    [['', '--', 'true'], /the election name is empty/],
  ])('%j', async (args, message) => {
    const {status, stdout, stderr} = await leash(['campaign', ...args], {
      env: {LEASH_ENDPOINTS: 'http://127.0.0.1:1'},
    })
    expect({status, stdout}).toEqual({status: 64, stdout: ''})
    expect(stderr).toMatch(message)
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
  })
})
