import {expect, test} from 'vitest'
import {describeSettings} from '../../../src/lib/config/describeSettings.ts'
import {loadSettings} from '../../../src/lib/config/settings.ts'
import {userName} from '../../../src/lib/config/world.ts'
import {refusal, TemporaryWorld} from './temporaryWorld.ts'

const local = {scheme: 'local', url: 'local'}

test.each<[string, (world: TemporaryWorld) => object, object]>([
  ['--local', () => ({local: true}), {kind: 'flag', name: '--local'}],
  [
    '--local before an etcd in the environment',
    (world) => ((world.environment.LEASH_ENDPOINTS = 'a:1'), {local: true}),
    {kind: 'flag', name: '--local'},
  ],
  ['--endpoints local', () => ({endpoints: 'local'}), {kind: 'flag', name: '--endpoints'}],
  [
    'LEASH_ENDPOINTS=local',
    (world) => ((world.environment.LEASH_ENDPOINTS = 'local'), {}),
    {kind: 'environment', variable: 'LEASH_ENDPOINTS'},
  ],
  ['a file', (world) => (world.systemFile('LEASH_ENDPOINTS=local'), {}), {kind: 'file'}],
  ['nothing, where a person is told of it', (world) => ((world.isTold = true), {}), {kind: 'default'}],
])('the engine of this machine is chosen by %s', (_, choose, origin) => {
  using world = new TemporaryWorld()
  const {endpoints, tls, credentials} = loadSettings(choose(world), world).connection
  expect(endpoints).toMatchObject({value: [local], origin})
  expect({tls, credentials}).toEqual({tls: undefined, credentials: undefined})
})

test('nobody gets it by default who does not want to be told', () => {
  using world = new TemporaryWorld()
  world.isTold = true
  expect(refusal(() => loadSettings({quiet: true}, world))).toMatchObject({
    code: 'config',
    message: 'no etcd endpoint is configured',
  })
  expect(loadSettings({quiet: true, local: true}, world).connection.endpoints.value).toEqual([local])
})

test('a person who has configured an etcd gets that', () => {
  using world = new TemporaryWorld()
  world.isTold = true
  world.systemFile('LEASH_ENDPOINTS=a:1')
  expect(loadSettings({}, world).connection.endpoints.value[0]?.url).toBe('http://a:1')
})

test.each([
  'LEASH_CACERT',
  'LEASH_CLIENT_CERT',
  'LEASH_CLIENT_KEY',
  'LEASH_SERVER_NAME',
  'LEASH_USER',
  'LEASH_PASSWORD',
  'LEASH_PASSWORD_FILE',
  'ETCDCTL_CACERT',
  'ETCDCTL_USER',
])('%s is refused beside it, also by default, and its value is not told', (variable) => {
  using world = new TemporaryWorld()
  world.environment[variable] = 'secret'
  const told = refusal(() => loadSettings({local: true}, world))
  expect(told).toMatchObject({
    code: 'config',
    message: `${variable} is for an etcd, and the engine of this machine has neither TLS nor users`,
  })
  world.isTold = true
  expect(refusal(() => loadSettings({}, world))).toEqual(told)
})

test('where etcdctl would ask DNS for an etcd, nobody gets the engine of this machine by default', () => {
  using world = new TemporaryWorld()
  world.isTold = true
  world.environment.ETCDCTL_DISCOVERY_SRV = 'example.com'
  expect(refusal(() => loadSettings({}, world)).message).toContain('asks for endpoints from DNS')
})

test('--explain says for whom it is', () => {
  using world = new TemporaryWorld()
  expect(describeSettings(loadSettings({local: true}, world))[0]).toBe(
    `endpoints local, for user ${userName()} on this machine only (--local)`,
  )
})
