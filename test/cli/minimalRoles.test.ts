import {spawn} from 'node:child_process'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {asRoot, credentials, enableUsers, keysAsRoot, type Right, role} from '../support/etcdUsers.ts'
import {until} from '../support/wait.ts'
import {removeHandlesAt} from './support/Script.ts'
import {Leash, leash} from './support/leash.ts'

/** All that the lock `x` needs, and the election `x`, as docs/etcd-authentication.md has it. */
const lockRights: readonly Right[] = [
  {type: 'READWRITE', key: 'leash/lock/x/', prefix: true},
  {type: 'READWRITE', key: 'leash/held/lock/x'},
  {type: 'READWRITE', key: 'leash/held/beside/x/', prefix: true},
]
const electionRights: readonly Right[] = [
  {type: 'READWRITE', key: 'leash/election/x/', prefix: true},
  {type: 'READWRITE', key: 'leash/held/election/x'},
  {type: 'READWRITE', key: 'leash/meta/', prefix: true},
]

/** Who is kept, and ended if its leadership is lost. */
const kept = spawn('sleep', ['1000'])
afterAll(() => kept.kill())

const untilTold = ['--', 'sh', '-c', 'echo runs; read line; :'] as const
const shared = ['run', '--shared', '-l', 'x', ...untilTold]
const campaign = ['campaign', 'x', '--value', 'here', ...untilTold]

const start = async (version: EtcdVersion, rights: readonly Right[]): Promise<EtcdServer> => {
  const etcd = await EtcdServer.start({version})
  await enableUsers(etcd.url, rights)
  return etcd
}
const envOf = (etcd: EtcdServer): Record<string, string> => ({...credentials, LEASH_ENDPOINTS: etcd.url})

const nothingLeft = async (etcd: EtcdServer): Promise<void> => {
  expect(await keysAsRoot(etcd)).toEqual([])
  expect(await asRoot(etcd, 'lease', 'list')).toMatch(/found 0 leases/)
}

describe.each<[EtcdVersion]>([['3.4'], ['3.5']])('the minimal role, with etcd %s,', (version) => {
  let etcd: EtcdServer
  beforeAll(async () => {
    etcd = await start(version, [...lockRights, ...electionRights])
  })
  afterAll(async () => {
    removeHandlesAt(etcd.url)
    await etcd[Symbol.asyncDispose]()
  })
  const run = (...args: string[]): ReturnType<typeof leash> => leash(args, {env: envOf(etcd)})
  const started = async (args: readonly string[]): Promise<Leash> => {
    const job = new Leash(args, {env: envOf(etcd)})
    await job.says(/runs/)
    return job
  }

  test.each([
    ['--shared', ['--shared']],
    ['--slots', ['--slots', '2']],
  ])('suffices to run beside others with %s, to wait for them, and to leave nothing', async (_, mode) => {
    const args = ['run', ...mode, '-l', 'x', ...untilTold]
    await using one = await started(args)
    await using other = await started(args)
    await using writer = new Leash(['run', '-l', 'x', 'true'], {env: envOf(etcd)})
    await until('it to wait', async () => (await keysAsRoot(etcd)).length === 5, {withinMs: 10_000})
    for (const job of [one, other]) {
      job.endInput()
      expect(await job.end()).toMatchObject({status: 0, stderr: ''})
    }
    expect(await writer.end()).toMatchObject({status: 0, stderr: ''})
    await nothingLeft(etcd)
  })

  test('suffices to take what is left of one who vanished', async () => {
    await using gone = await started(shared)
    const [mark = ''] = (await keysAsRoot(etcd)).filter((key) => key.startsWith('leash/held/beside/x/'))
    await asRoot(etcd, 'lease', 'revoke', mark.slice(mark.lastIndexOf('/') + 1))
    expect((await gone.end()).status).toBe(79)
    // It knew what had become of its ticket, and has taken its mark away.
    await asRoot(etcd, 'put', mark, '')
    expect(await run('run', '-l', 'x', 'true')).toMatchObject({status: 0, stderr: ''})
    await nothingLeft(etcd)
  })

  test('suffices to campaign, to be seen, to proclaim and to resign', async () => {
    await using leader = await started(campaign)
    expect(await run('leader', 'x')).toEqual({status: 0, stdout: 'here\n', stderr: ''})
    expect((await run('observe', 'x', '--once')).stdout).toContain('elected here')
    leader.endInput()
    expect(await leader.end()).toMatchObject({status: 0, stderr: ''})
    const {stdout} = await run('campaign', 'x', '--keep', String(kept.pid))
    const by = ['--handle', stdout.trim()]
    expect((await run('proclaim', '--value', 'there', ...by)).status).toBe(0)
    expect((await run('leader', 'x')).stdout).toBe('there\n')
    expect((await run('resign', ...by)).status).toBe(0)
    await nothingLeft(etcd)
  })
})

test('to read the queue suffices to look at an election, and not to stand in it', async () => {
  await using etcd = await start('3.5', [{type: 'READ', key: 'leash/election/x/', prefix: true}])
  const env = envOf(etcd)
  expect(await leash(['leader', 'x'], {env})).toEqual({status: 1, stdout: '', stderr: ''})
  expect(await leash(['observe', 'x', '--once'], {env})).toMatchObject({status: 0, stderr: ''})
  const {status, stderr} = await leash(['campaign', 'x', '--', 'true'], {env})
  expect(status).toBe(77)
  expect(stderr).toContain(
    'denies user "deploy" to write leash/election/x/..., and to read and write leash/held/election/x, and to write leash/meta/...; grant it:',
  )
})

describe('one right less is 77, and names it:', () => {
  const jobs = {
    'run --shared': {args: shared, rights: lockRights},
    campaign: {args: campaign, rights: electionRights},
  }
  test.each([
    ['run --shared', 0, 'READ', 'write leash/lock/x/...', 'leash/lock/x/ --prefix'],
    ['run --shared', 1, 'WRITE', 'read leash/held/lock/x', 'leash/held/lock/x'],
    ['run --shared', 2, 'READ', 'write leash/held/beside/x/...', 'leash/held/beside/x/ --prefix'],
    ['run --shared', 2, 'WRITE', 'read leash/held/beside/x/...', 'leash/held/beside/x/ --prefix'],
    ['campaign', 0, 'READ', 'write leash/election/x/...', 'leash/election/x/ --prefix'],
    ['campaign', 0, 'WRITE', 'read leash/election/x/...', 'leash/election/x/ --prefix'],
    ['campaign', 1, 'READ', 'write leash/held/election/x', 'leash/held/election/x'],
    ['campaign', 1, 'WRITE', 'read leash/held/election/x', 'leash/held/election/x'],
    ['campaign', 2, 'READ', 'write leash/meta/...', 'leash/meta/ --prefix'],
  ] as const)('%s, right %i is only to %s', async (what, index, type, lacking, keys) => {
    const {args, rights} = jobs[what]
    const less = rights.map((right, at) => (at === index ? {...right, type} : right))
    await using etcd = await start('3.5', less)
    expect(await leash(args, {env: envOf(etcd)})).toEqual({
      status: 77,
      stdout: '',
      stderr: `leash: x: etcd at ${etcd.url} denies user "deploy" to ${lacking}; grant it: etcdctl role grant-permission leash readwrite ${keys}\n`,
    })
    await nothingLeft(etcd)
    // And that is the way out.
    await asRoot(etcd, 'role', 'grant-permission', role, 'readwrite', ...keys.split(' '))
    expect((await leash(args, {env: envOf(etcd)})).status).toBe(0)
  })
})
