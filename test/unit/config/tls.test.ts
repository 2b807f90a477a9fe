import {describe, expect, test} from 'vitest'
import {join} from 'node:path'
import {describeSettings} from '../../../src/lib/config/describeSettings.ts'
import {loadSettings} from '../../../src/lib/config/settings.ts'
import {asOrdinaryUser, refusal, TemporaryWorld} from './temporaryWorld.ts'

const certificate = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'
const key = '-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n'

/** A world with such files, and variables that name them by these. */
const worldWith = (files: Record<string, string>, more: Record<string, string> = {}): TemporaryWorld => {
  const world = new TemporaryWorld()
  world.environment.LEASH_ENDPOINTS = 'https://a:1'
  for (const [variable, text] of Object.entries(files))
    world.environment[variable] = world.write(join(world.root, variable), text)
  Object.assign(world.environment, more)
  return world
}
const messageOf = (world: TemporaryWorld): string => {
  const {code, message} = refusal(() => loadSettings({}, world))
  expect(code).toBe('config')
  return message.replaceAll(world.root, '')
}

test('files and name come from the environment, and --explain says from where', () => {
  const LEASH_SERVER_NAME = 'etcd.example'
  using world = worldWith(
    {LEASH_CACERT: certificate, LEASH_CLIENT_CERT: certificate, LEASH_CLIENT_KEY: key},
    {LEASH_SERVER_NAME},
  )
  const settings = loadSettings({}, world)
  expect(settings.connection.tls).toMatchObject({
    ca: {value: {path: world.environment['LEASH_CACERT'], bytes: Buffer.from(certificate)}},
    key: {value: {bytes: Buffer.from(key)}},
    serverName: {value: LEASH_SERVER_NAME},
  })
  const text = describeSettings(settings).join('\n').replaceAll(world.root, '')
  expect(text).toContain(
    'cacert /LEASH_CACERT (LEASH_CACERT)\ncert /LEASH_CLIENT_CERT (LEASH_CLIENT_CERT)\nkey /LEASH_CLIENT_KEY (LEASH_CLIENT_KEY)',
  )
  expect(text).toContain('server-name etcd.example (LEASH_SERVER_NAME)')
  expect(text).not.toContain('MIGH')
})

test("ours win over etcdctl's, and these over the files", () => {
  using world = worldWith({ETCDCTL_CACERT: certificate})
  world.systemFile('LEASH_CACERT=/nowhere')
  expect(loadSettings({}, world).connection.tls?.ca.origin).toEqual({
    kind: 'environment',
    variable: 'ETCDCTL_CACERT',
  })
  world.environment.LEASH_CACERT = world.write(join(world.root, 'ours'), certificate)
  expect(loadSettings({}, world).connection.tls?.ca.origin).toEqual({
    kind: 'environment',
    variable: 'LEASH_CACERT',
  })
})

test('without any of them https trusts whom Node trusts, and http has no TLS', () => {
  using world = worldWith({})
  const settings = loadSettings({}, world)
  expect(settings.connection.tls?.ca.value).toBeUndefined()
  expect(describeSettings(settings).join('\n')).toContain("cacert node's own")
  expect(loadSettings({endpoints: 'http://a:1'}, world).connection.tls).toBeUndefined()
})

test('an endpoint without a scheme means https if there is anything of TLS, else http', () => {
  using world = worldWith({LEASH_CACERT: certificate})
  const scheme = () => loadSettings({endpoints: 'a:1'}, world).connection.endpoints.value[0]?.scheme
  expect(scheme()).toBe('https')
  delete world.environment.LEASH_CACERT
  expect(scheme()).toBe('http')
})

describe('refused is', () => {
  test('plain text where TLS was prepared', () => {
    using world = worldWith({LEASH_CACERT: certificate}, {LEASH_ENDPOINTS: 'http://a:1'})
    expect(messageOf(world)).toBe(
      'LEASH_CACERT "/LEASH_CACERT" is for TLS, but the endpoints are http, so nothing would be encrypted',
    )
  })

  test.each<[string, Record<string, string>, Record<string, string>, string]>([
    [
      'a file that is not there',
      {},
      {LEASH_CACERT: '/nowhere'},
      'LEASH_CACERT "/nowhere" cannot be read (ENOENT)',
    ],
    ['a directory', {}, {LEASH_CACERT: '/'}, 'LEASH_CACERT "/" cannot be read (EISDIR)'],
    [
      'a file without a certificate',
      {LEASH_CACERT: key},
      {},
      'LEASH_CACERT "/LEASH_CACERT" holds no certificate',
    ],
    [
      'a file without a key',
      {LEASH_CLIENT_CERT: certificate, LEASH_CLIENT_KEY: certificate},
      {},
      'LEASH_CLIENT_KEY "/LEASH_CLIENT_KEY" holds no private key',
    ],
    [
      'an encrypted key',
      {LEASH_CLIENT_CERT: certificate, LEASH_CLIENT_KEY: key.replaceAll('PRIVATE', 'ENCRYPTED PRIVATE')},
      {},
      'LEASH_CLIENT_KEY "/LEASH_CLIENT_KEY" holds an encrypted key, and nobody is there to decrypt it',
    ],
    [
      'a certificate alone',
      {LEASH_CLIENT_CERT: certificate},
      {},
      'LEASH_CLIENT_CERT "/LEASH_CLIENT_CERT" is of no use without its key',
    ],
    [
      'a key alone',
      {LEASH_CLIENT_KEY: key},
      {},
      'LEASH_CLIENT_KEY "/LEASH_CLIENT_KEY" is of no use without its certificate',
    ],
    [
      'a name with a port',
      {},
      {LEASH_SERVER_NAME: 'etcd:2379'},
      'LEASH_SERVER_NAME "etcd:2379" is not a name that a certificate can carry',
    ],
  ])('%s', (_, files, variables, message) => {
    using world = worldWith(files, variables)
    expect(messageOf(world)).toBe(message)
  })

  test('a relative path in a file of settings', () => {
    using world = worldWith({})
    const file = world.systemFile('LEASH_CACERT=ca.pem')
    expect(messageOf(world)).toBe(
      `LEASH_CACERT "ca.pem" in ${file.replace(world.root, '')} is not an absolute path`,
    )
  })

  test('a key that may not be read', () => {
    using world = worldWith({LEASH_CLIENT_CERT: certificate}, {LEASH_CLIENT_KEY: '/etc/shadow'})
    expect(asOrdinaryUser(() => messageOf(world))).toBe(
      'LEASH_CLIENT_KEY "/etc/shadow" cannot be read (EACCES)',
    )
  })
})
