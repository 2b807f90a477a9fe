import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {freePorts} from '../support/scratch.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {Leash, leash} from './support/leash.ts'
import {nothingLeft} from './support/nothingLeft.ts'

let etcd: EtcdServer
let env: Record<string, string>
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
  env = {LEASH_ENDPOINTS: etcd.url}
})
afterAll(() => etcd[Symbol.asyncDispose]())

describe("the job's own end is leash's", () => {
  test('every exit status from 0 to 255', async () => {
    const statuses = Array.from({length: 256}, (_, status) => status)
    const seen: (number | string)[] = []
    // Two at a time, each side on a lock of its own.
    const runAll = async (lock: string, mine: number[]): Promise<void> => {
      for (const status of mine) {
        const ended = await leash(['run', '-l', lock, '--', 'sh', '-c', `exit ${status}`], {env})
        seen[status] = ended.stderr === '' ? ended.status : ended.stderr
      }
    }
    const even = statuses.filter((status) => status % 2 === 0)
    await Promise.all([
      runAll('even', even),
      runAll(
        'odd',
        statuses.filter((status) => status % 2 === 1),
      ),
    ])
    expect(seen).toEqual(statuses)
    await nothingLeft(etcd)
  }, 120_000)

  test.each([
    ['HUP', 129],
    ['INT', 130],
    ['QUIT', 131],
    ['ABRT', 134],
    ['KILL', 137],
    ['USR1', 138],
    ['SEGV', 139],
    ['PIPE', 141],
    ['TERM', 143],
  ])('128 and the number of the signal that ended it: %s', async (signal, status) => {
    const script = `ulimit -c 0; kill -${signal} $$`
    expect(await leash(['run', '-l', 'x', '--', 'sh', '-c', script], {env})).toEqual({
      status,
      stdout: '',
      stderr: '',
    })
  })

  // Node has no names for the real-time signals and says that such a child ended with 0.
  test.fails('128 and the number of a real-time signal', async () => {
    const {status} = await leash(['run', '-l', 'x', '--', 'sh', '-c', 'kill -40 $$'], {env})
    expect(status).toBe(168)
  })

  test('126 and 127 of a job are passed on in silence', async () => {
    const codes = [126, 127, 64, 69, 75, 79]
    const ends = await Promise.all(
      codes.map((code) => leash(['run', '-l', `c${code}`, 'sh', '-c', `exit ${code}`], {env})),
    )
    expect(ends).toEqual(codes.map((status) => ({status, stdout: '', stderr: ''})))
  })
})

describe('contention', () => {
  let holder: Leash
  beforeAll(async () => {
    holder = new Leash(['run', '-l', 'held', '--', 'sh', '-c', 'echo runs; read line'], {env})
    await holder.says(/runs/)
  })
  afterAll(async () => {
    holder.endInput()
    expect((await holder.end()).status).toBe(1)
    await nothingLeft(etcd)
  })

  test.each<[string, string[], number, string]>([
    ['75, in silence', ['-n'], 75, ''],
    ['the chosen status', ['-n', '-E', '3'], 3, ''],
    ['the chosen status 0', ['-n', '--conflict-exit-code=0'], 0, ''],
    [
      '75 and one line when the wait ran out',
      ['-w', '200ms'],
      75,
      'leash: held: not acquired: the wait ran out; wait longer with -w, or find out who holds it\n',
    ],
    ['the chosen status when the wait ran out, and -q is silent', ['-q', '-w', '0.2', '-E', '9'], 9, ''],
  ])('%s', async (_, options, status, stderr) => {
    expect(await leash(['run', '-l', 'held', ...options, 'echo', 'never'], {env})).toEqual({
      status,
      stdout: '',
      stderr,
    })
  })

  test('-v says who holds it', async () => {
    const {status, stderr} = await leash(['run', '-l', 'held', '-n', '-v', 'true'], {env})
    expect(status).toBe(75)
    expect(stderr).toMatch(
      new RegExp(
        `^leash: held: not acquired: held by \\S+@\\S+ \\(pid ${holder.pid}\\) since \\S+Z; wait for it with -w\\n$`,
      ),
    )
  })
})

describe('a lost lease', () => {
  test.each<[string, string[], number]>([
    ['79', [], 79],
    ['the chosen status', ['--lost-exit-code', '0'], 0],
  ])('%s, one line, and a dead job', async (_, options, status) => {
    await using run = new Leash(
      ['run', '-l', 'lost', ...options, '--', 'sh', '-c', 'trap "" TERM; echo $LEASH_LEASE; read line'],
      {
        env,
      },
    )
    const lease = (await run.says(/[0-9a-f]+\n/)).trim()
    await etcd.etcdctl('lease', 'revoke', lease)
    const end = await run.end()
    expect(end.status).toBe(status)
    expect(end.stderr).toBe(
      'leash: lost: it was taken away (its ticket was deleted, its lease revoked or expired) and the job was killed; find out who did it\n',
    )
    expect(run.processes()).toEqual([])
    await nothingLeft(etcd)
  })
})

describe('etcd out of reach', () => {
  test('69 when nobody listens, after the connect timeout', async () => {
    const [port = 0] = await freePorts(1)
    const url = `http://127.0.0.1:${port}`
    const options = ['--endpoints', url, '--connect-timeout', '300ms']
    expect(await leash(['run', '-l', 'x', ...options, 'echo', 'never'])).toEqual({
      status: 69,
      stdout: '',
      stderr: `leash: x: etcd cannot be reached: ${url}: connect ECONNREFUSED; check the endpoints and the network\n`,
    })
  })

  test('69 also when the wait for the lock would have ended before', async () => {
    const [port = 0] = await freePorts(1)
    const options = ['--endpoints', `http://127.0.0.1:${port}`, '-w', '300ms', '-E', '3']
    expect((await leash(['run', '-l', 'x', ...options, 'echo', 'never'])).status).toBe(69)
  })

  test('69 when nobody answers', async () => {
    await using hole = await TcpProxy.to(etcd)
    hole.blackhole()
    const options = ['--endpoints', hole.url, '--connect-timeout', '1s']
    const {status, stdout, stderr} = await leash(['run', '-l', 'x', ...options, 'echo', 'never'])
    expect({status, stdout}).toEqual({status: 69, stdout: ''})
    expect(stderr).toMatch(/^leash: x: etcd cannot be reached: .*; check the endpoints and the network\n$/)
  })

  test('the job runs when etcd comes back in time', async () => {
    await using link = await TcpProxy.to(etcd)
    link.reset()
    await using run = new Leash([
      'run',
      '-l',
      'x',
      '--endpoints',
      link.url,
      '--connect-timeout',
      '20s',
      'echo',
      'ran',
    ])
    await link.heal()
    expect(await run.end()).toEqual({status: 0, stdout: 'ran\n', stderr: ''})
  })
})
