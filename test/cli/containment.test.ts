import {spawnSync} from 'node:child_process'
import {chmodSync} from 'node:fs'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {canContainByCgroup} from '../support/cgroups.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {Sentry} from './support/Sentry.ts'
import {StatusFile} from './support/StatusFile.ts'
import {asAnotherUser, environmentOfAnother, isRoot} from './support/anotherUser.ts'
import {type Ended, type LeashOptions, leash} from './support/leash.ts'

let etcd: EtcdServer
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
})
afterAll(() => etcd[Symbol.asyncDispose]())

const best = canContainByCgroup() ? 'cgroup' : 'session'
/** Says in which cgroup of ours it is, if it is in one. */
const whereabouts = ['sh', '-c', 'grep -o "leash-[0-9a-f]*$" /proc/self/cgroup || echo none']

describe('the job is contained', () => {
  const tierOf = async (
    options: readonly string[],
    how: LeashOptions = {},
  ): Promise<{tier: unknown; stdout: string}> => {
    using file = new StatusFile()
    chmodSync(file.directory, 0o777)
    const env = {LEASH_ENDPOINTS: etcd.url, ...how.env}
    const {status, stdout, stderr} = await leash(file.runs(...options, '--', ...whereabouts), {...how, env})
    expect({status, stderr}).toEqual({status: 0, stderr: ''})
    return {tier: file.report()['containment'], stdout}
  }

  test.each<[string, string[]]>([
    ['if nothing is said', []],
    ['with auto', ['--contain', 'auto']],
  ])('as well as can be %s', async (_, options) => {
    const {tier, stdout} = await tierOf(options)
    expect(tier).toBe(best)
    expect(stdout).toMatch(best === 'cgroup' ? /^leash-[0-9a-f]{16}\n$/ : /^none\n$/)
  })

  test.skipIf(!canContainByCgroup())(
    'by a cgroup, if that is wished for or required (where one can be made)',
    async () => {
      for (const options of [
        ['--contain', 'cgroup'],
        ['--require-containment', 'cgroup'],
      ])
        expect(await tierOf(options)).toEqual({
          tier: 'cgroup',
          stdout: expect.stringMatching(/^leash-/) as string,
        })
    },
  )

  test('by its session, if a cgroup is ruled out', async () => {
    for (const options of [
      ['--contain', 'group'],
      ['--contain=group', '--require-containment=session'],
    ])
      expect(await tierOf(options)).toEqual({tier: 'session', stdout: 'none\n'})
  })

  test.skipIf(!isRoot)(
    'by its session, if no cgroup can be made (asks root to be somebody else)',
    async () => {
      const another = {through: asAnotherUser, env: environmentOfAnother}
      for (const options of [
        [],
        ['--contain=auto'],
        ['--contain=group'],
        ['--require-containment=session'],
        ['--require-containment=group'],
      ])
        expect(await tierOf(options, another)).toEqual({tier: 'session', stdout: 'none\n'})
    },
  )
})

const processesOnly = [
  'unshare',
  '--mount',
  'sh',
  '-c',
  'mount -t proc -o subset=pid proc /proc && exec "$@"',
  'sh',
]
const [unshare = '', ...inNamespace] = processesOnly

test.skipIf(!isRoot || spawnSync(unshare, [...inNamespace, 'true']).status !== 0)(
  'a job runs where /proc shows processes and nothing else, as under ProcSubset=pid (asks root)',
  async () => {
    using file = new StatusFile()
    const env = {LEASH_ENDPOINTS: etcd.url}
    const {status, stderr} = await leash(file.runs('--', 'sleep', '0.2'), {env, through: processesOnly})
    expect({status, stderr, end: file.report()}).toMatchObject({
      status: 0,
      stderr: '',
      end: {outcome: 'ended', code: 0},
    })
  },
)

test('the guard carries no mark of a job, neither of ours nor of one around us', async () => {
  const script = `for directory in /proc/[0-9]*; do
      [ "$directory" = "/proc/$$" ] && continue
      grep -qs "^PPid:.$PPID$" "$directory/status" && tr '\\0' ' ' <"$directory/cmdline" | grep -q guard.sh || continue
      tr '\\0' '\\n' <"$directory/environ" | grep -E '^(LEASH_RUN_|OTHER)'
    done`
  const env = {LEASH_ENDPOINTS: etcd.url, LEASH_RUN_0123456789abcdef: '1', OTHER: '1'}
  expect(await leash(['run', '-l', 'x', '--', 'sh', '-c', script], {env})).toMatchObject({
    status: 0,
    stdout: 'OTHER=1\n',
  })
})

describe('--explain says how the job would be contained', () => {
  const explained = async (
    options: readonly string[],
    how: LeashOptions = {},
  ): Promise<string | undefined> => {
    const {stdout} = await leash(
      ['run', '-l', 'x', '--endpoints', 'http://127.0.0.1:1', '--explain', ...options, 'true'],
      how,
    )
    return /^contains +(\S+)$/m.exec(stdout)?.[1]
  }

  test('as well as can be, or as it was wished', async () => {
    expect(await explained([])).toBe(best)
    expect(await explained(['--contain', 'group'])).toBe('session')
  })

  test.skipIf(!isRoot)('as somebody else, too (asks root)', async () => {
    expect(await explained([], {through: asAnotherUser, env: environmentOfAnother})).toBe('session')
  })
})

describe('is refused before etcd is asked anything', () => {
  const refused = async (options: readonly string[], how: LeashOptions = {}): Promise<Ended> => {
    await using sentry = await Sentry.stand()
    const end = await leash(['run', '-l', 'x', '--endpoints', sentry.url, ...options, 'echo', 'never'], how)
    expect(sentry.connections).toBe(0)
    return end
  }
  const wayOut =
    'run as root or in a unit with Delegate=yes, or ask for less with --contain and --require-containment'

  test
    .skipIf(!isRoot)
    .each([
      ['--contain=cgroup'],
      ['--require-containment=cgroup'],
      ['--explain', '--require-containment=cgroup'],
    ])(
    'a job that cannot be contained as it must be, with one line: %s %s (asks root to be somebody else)',
    async (...options) => {
      const {status, stdout, stderr} = await refused(options, {
        through: asAnotherUser,
        env: environmentOfAnother,
      })
      expect({status, stdout}).toEqual({status: 78, stdout: ''})
      expect(stderr).toMatch(/^leash: x: no cgroup can be made for the job \((EACCES|EPERM|EROFS)\); .*\n$/)
      expect(stderr).toContain(wayOut)
    },
  )

  test('a cgroup that is ruled out and required', async () => {
    expect(await refused(['--contain', 'group', '--require-containment', 'cgroup'])).toEqual({
      status: 78,
      stdout: '',
      stderr: `leash: x: no cgroup can be made for the job (ruled out by --contain group); ${wayOut}\n`,
    })
  })

  test.each([
    ['--contain', 'session', ['auto', 'cgroup', 'group']],
    ['--contain', '', ['auto', 'cgroup', 'group']],
    ['--require-containment', 'auto', ['cgroup', 'session', 'group']],
    ['--leftovers', 'Kill', ['kill', 'wait', 'leave']],
  ])('a value that is none, with those that are: %s=%s', async (flag, value, choices) => {
    const {status, stdout, stderr} = await refused([`${flag}=${value}`])
    expect({status, stdout}).toEqual({status: 64, stdout: ''})
    expect(stderr).toMatch(/^leash: [^\n]*\n$/)
    for (const text of [flag, ...choices]) expect(stderr).toContain(text)
  })
})
