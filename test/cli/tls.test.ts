import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {Authority, type Issued} from '../support/Authority.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {keysUnder} from '../support/etcdGateway.ts'
import {isAlive} from '../support/processes.ts'
import {until} from '../support/wait.ts'
import {type Ended, Leash, leash} from './support/leash.ts'

let authority: Authority
let stranger: Authority
let client: Issued
/** Serves who trusts its authority; serves clients of that authority only; is called etcd-1; shows a certificate that has expired. */
let etcd: EtcdServer
let mutual: EtcdServer
let named: EtcdServer
let expired: EtcdServer
beforeAll(async () => {
  authority = new Authority()
  stranger = new Authority()
  client = authority.issue('DNS:client')
  const here = authority.issue('IP:127.0.0.1')
  const start = (secure: Issued & {clientCa?: string}): Promise<EtcdServer> =>
    EtcdServer.start({version: '3.4', secure})
  ;[etcd, mutual, named, expired] = await Promise.all([
    start(here),
    start({...here, clientCa: authority.certificate}),
    start(authority.issue('DNS:etcd-1')),
    start(authority.issue('IP:127.0.0.1', '20200102000000Z')),
  ])
})
afterAll(async () => {
  for (const server of [etcd, mutual, named, expired]) await server[Symbol.asyncDispose]()
  for (const one of [authority, stranger]) one[Symbol.dispose]()
})

const run = (env: Record<string, string>, cwd?: string): Promise<Ended> =>
  leash(['run', '-l', 'x', '--connect-timeout', '500ms', '--', 'echo', 'done'], {env, ...(cwd && {cwd})})
const done = {status: 0, stdout: 'done\n', stderr: ''}
const clientFiles = (): Record<string, string> => ({
  LEASH_CLIENT_CERT: client.certificate,
  LEASH_CLIENT_KEY: client.key,
})

describe('over TLS a job runs', () => {
  test('if the member is vouched for by LEASH_CACERT', async () => {
    expect(await run({LEASH_ENDPOINTS: etcd.secureUrl, LEASH_CACERT: authority.certificate})).toEqual(done)
  })

  test('whatever proxies the environment names', async () => {
    const proxy = 'http://127.0.0.1:1'
    const proxies = {https_proxy: proxy, HTTPS_PROXY: proxy, all_proxy: proxy, grpc_proxy: proxy}
    const env = {LEASH_ENDPOINTS: etcd.secureUrl, LEASH_CACERT: authority.certificate}
    expect(await run({...env, ...proxies})).toEqual(done)
  })

  test("with etcdctl's own variables, which an endpoint without a scheme makes https", async () => {
    const ETCDCTL_ENDPOINTS = mutual.secureUrl.replace('https://', '')
    const files = {
      ETCDCTL_CACERT: authority.certificate,
      ETCDCTL_CERT: client.certificate,
      ETCDCTL_KEY: client.key,
    }
    expect(await run({ETCDCTL_ENDPOINTS, ...files})).toEqual(done)
  })

  test('if the client shows the certificate that the member asks for', async () => {
    const env = {LEASH_ENDPOINTS: mutual.secureUrl, LEASH_CACERT: authority.certificate}
    expect(await run({...env, ...clientFiles()})).toEqual(done)
  })

  test('if the certificate carries another name that is expected', async () => {
    const env = {LEASH_ENDPOINTS: named.secureUrl, LEASH_CACERT: authority.certificate}
    expect(await run({...env, LEASH_SERVER_NAME: 'etcd-1'})).toEqual(done)
  })
})

describe.each([[{}], [{NODE_TLS_REJECT_UNAUTHORIZED: '0'}]])(
  'no job runs, also with %j in the environment,',
  (more) => {
    const refused = async (env: Record<string, string>, reason: RegExp): Promise<void> => {
      const {status, stdout, stderr} = await run({...env, ...(more as Record<string, string>)})
      expect({status, stdout}).toEqual({status: 69, stdout: ''})
      expect(stderr).toMatch(reason)
      expect(stderr.trimEnd().split('\n')).toHaveLength(1)
    }

    test('if another authority has signed the certificate', async () => {
      const env = {LEASH_ENDPOINTS: etcd.secureUrl, LEASH_CACERT: stranger.certificate}
      await refused(env, /^leash: x: etcd cannot be reached: .*(certificate|signature)/)
    })

    test('if nobody vouches for it that Node knows', async () => {
      await refused({LEASH_ENDPOINTS: etcd.secureUrl}, /^leash: x: etcd cannot be reached: .*certificate/)
    })

    test('if the certificate carries another name', async () => {
      const env = {LEASH_ENDPOINTS: named.secureUrl, LEASH_CACERT: authority.certificate}
      await refused(env, /^leash: x: etcd cannot be reached: .*(altnames|not in the cert)/)
    })

    test('if the certificate carries not the name that is expected', async () => {
      const env = {
        LEASH_ENDPOINTS: etcd.secureUrl,
        LEASH_CACERT: authority.certificate,
        LEASH_SERVER_NAME: 'etcd-1',
      }
      await refused(env, /^leash: x: etcd cannot be reached: .*(altnames|not in the cert)/)
    })

    test('if the certificate has expired', async () => {
      const env = {LEASH_ENDPOINTS: expired.secureUrl, LEASH_CACERT: authority.certificate}
      await refused(env, /^leash: x: etcd cannot be reached: .*expired/)
    })

    test('if the client shows none where one is asked for', async () => {
      const env = {LEASH_ENDPOINTS: mutual.secureUrl, LEASH_CACERT: authority.certificate}
      await refused(env, /^leash: x: etcd cannot be reached: /)
    })
  },
)

test('the guard of a leash that was killed makes the clean end over TLS, with files named by relative paths', async () => {
  const {directory} = authority
  const relative = (file: string): string => path.relative(directory, file)
  const env = {
    LEASH_ENDPOINTS: mutual.secureUrl,
    LEASH_CACERT: relative(authority.certificate),
    LEASH_CLIENT_CERT: relative(client.certificate),
    LEASH_CLIENT_KEY: relative(client.key),
  }
  await using run = new Leash(
    ['run', '-l', 'y', '--ttl', '10m', '--', 'sh', '-c', 'echo "runs $$"; sleep 1000'],
    {
      env,
      cwd: directory,
    },
  )
  const [job] = /\d+/.exec(await run.says(/runs \d+/)) ?? []
  run.kill('SIGKILL')
  await until('the job to end', () => !isAlive(Number(job)), {withinMs: 10_000})
  await until('the ticket to go', async () => (await keysUnder(mutual.url, 'leash/lock/y/')).length === 0, {
    withinMs: 10_000,
  })
})
