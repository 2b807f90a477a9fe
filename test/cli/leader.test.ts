import {afterEach, describe, expect, test} from 'vitest'
import {EtcdCluster} from '../support/EtcdCluster.ts'
import {call, grant, put} from '../support/etcdGateway.ts'
import {Leash, leash} from './support/leash.ts'
import {useEtcd} from './support/useEtcd.ts'

const etcd = useEtcd()
afterEach(() => etcd.empty())
const leader = (...args: string[]) => leash(['leader', ...args], {env: {LEASH_ENDPOINTS: etcd.url}})

describe('leader', () => {
  test('prints the value of the first candidate, and a newline', async () => {
    await put(etcd.url, 'leash/election/api/b', '10.0.0.1:80')
    await put(etcd.url, 'leash/election/api/a', '10.0.0.2:80')
    expect(await leader('api')).toEqual({status: 0, stdout: '10.0.0.1:80\n', stderr: ''})
  })

  test('prints the bytes that were given, whatever they are', async () => {
    const value = Buffer.from([0, 0xff, 0x1b, 10, 0xc3])
    const key = Buffer.from('leash/election/api/a').toString('base64')
    await call(etcd.url, '/v3/kv/put', {key, value: value.toString('base64')})
    await using running = new Leash(['leader', 'api'], {env: {LEASH_ENDPOINTS: etcd.url}})
    await running.end()
    expect(running.stdoutBytes).toEqual(Buffer.concat([value, Buffer.from('\n')]))
  })

  test('prints a value that is larger than a pipe', async () => {
    const value = 'v'.repeat(1_000_000)
    await put(etcd.url, 'leash/election/api/a', value)
    const through = ['sh', '-c', '"$@" | cat', 'sh']
    const {stdout} = await leash(['leader', 'api'], {env: {LEASH_ENDPOINTS: etcd.url}, through})
    expect(stdout).toBe(`${value}\n`)
  })

  test('ends with 1 and silence if there is none, and says so under -v', async () => {
    expect(await leader('api')).toEqual({status: 1, stdout: '', stderr: ''})
    expect(await leader('api', '--json')).toEqual({status: 1, stdout: '', stderr: ''})
    expect((await leader('api', '-v')).stderr).toBe('leash: api: there is no leader\n')
  })

  test('prints what is known as JSON', async () => {
    const lease = await grant(etcd.url, 60)
    await put(etcd.url, `leash/election/a%2Fb/${lease}`, 'me', lease)
    const {stdout} = await leader('--json', 'a/b')
    expect(JSON.parse(stdout)).toEqual({
      name: 'a/b',
      key: `leash/election/a%2Fb/${lease}`,
      fence: expect.stringMatching(/^\d+$/) as string,
      lease,
      value: 'me',
      valueBase64: 'bWU=',
    })
  })

  test('names the holder of a lock, with its fencing token', async () => {
    await using holder = new Leash(
      ['run', '-l', 'nightly', '--', 'sh', '-c', 'echo $LEASH_FENCE; read line'],
      {
        env: {LEASH_ENDPOINTS: etcd.url},
      },
    )
    const fence = (await holder.says(/^\d+\n/)).trim()
    const {stdout} = await leader('--lock', 'nightly')
    expect(stdout).toMatch(new RegExp(`^\\S+@\\S+ \\(pid \\d+\\) since \\S+ \\(fence ${fence}\\)\\n$`))
    expect((await leader('nightly')).status).toBe(1)
  })

  test('ends with 69 when etcd cannot be reached', async () => {
    const {status, stdout, stderr} = await leader(
      ...['api', '--endpoints', 'http://127.0.0.1:1', '--connect-timeout', '300ms'],
    )
    expect({status, stdout}).toEqual({status: 69, stdout: ''})
    expect(stderr).toMatch(/^leash: api: etcd cannot be reached: .*; check the endpoints and the network\n$/)
  })

  test('does not print what a member believes that has lost the others', async () => {
    await using cluster = await EtcdCluster.start({version: '3.4'})
    const [alone, ...others] = cluster.members
    if (alone === undefined) throw new Error('no members')
    await put(alone.url, 'leash/election/api/a', 'old')
    for (const member of others) await member.kill()
    const {status, stdout} = await leader('api', '--endpoints', alone.url, '--connect-timeout', '2s')
    expect({status, stdout}).toEqual({status: 69, stdout: ''})
  })

  test('that nobody reads is no fault', async () => {
    await put(etcd.url, 'leash/election/api/a', 'v'.repeat(1_000_000))
    const through = ['sh', '-c', '{ "$@"; echo "ended with $?" >&2; } | true', 'sh']
    const {stderr} = await leash(['leader', 'api'], {env: {LEASH_ENDPOINTS: etcd.url}, through})
    expect(stderr).toBe('ended with 0\n')
  })
})

test.each([
  [['leader'], 'leader was given no name; name an election: leash leader NAME'],
  [['observe'], 'observe was given no name; name an election: leash observe NAME'],
  [['leader', 'a', 'b'], 'a: leader looks at one election, and was given "b", too; name one of them'],
  [['leader', ''], 'the election name is empty; give 1 to 200 bytes of text'],
  [['leader', '--lock', ''], 'the lock name is empty; give 1 to 200 bytes of text'],
  [
    ['observe', 'a', '--stale-after', '10ms'],
    'a: --stale-after "10ms" is shorter than 1s, and etcd is asked three times in that time; write 1s or more',
  ],
])('%j is refused', async (args, said) => {
  const {status, stdout, stderr} = await leash(args, {env: {LEASH_ENDPOINTS: 'http://127.0.0.1:1'}})
  expect({status, stdout, stderr}).toEqual({status: 64, stdout: '', stderr: `leash: ${said}\n`})
})
