import {expect, test} from 'vitest'
import {loadSettings, type SettingsFlags} from '../../../src/lib/config/settings.ts'
import {refusal, TemporaryWorld} from './temporaryWorld.ts'

const load = (environment: Record<string, string>, flags: SettingsFlags = {}): unknown => {
  using world = new TemporaryWorld()
  Object.assign(world.environment, environment)
  return loadSettings(flags, world)
}

test.each<[string, Record<string, string>]>([
  ['ETCDCTL_DISCOVERY_SRV', {ETCDCTL_DISCOVERY_SRV: 'example.com'}],
  ['ETCDCTL_DISCOVERY_SRV', {ETCDCTL_DISCOVERY_SRV: 'example.com', ETCDCTL_ENDPOINTS: 'a:1'}],
  [
    'ETCDCTL_INSECURE_SKIP_TLS_VERIFY',
    {ETCDCTL_INSECURE_SKIP_TLS_VERIFY: 'true', LEASH_ENDPOINTS: 'https://a:1'},
  ],
  [
    'ETCDCTL_INSECURE_SKIP_TLS_VERIFY',
    {ETCDCTL_INSECURE_SKIP_TLS_VERIFY: 'yes', LEASH_ENDPOINTS: 'https://a:1'},
  ],
  ['ETCDCTL_AUTH_JWT_TOKEN', {ETCDCTL_AUTH_JWT_TOKEN: 'secret', LEASH_ENDPOINTS: 'a:1'}],
])('%s is not passed over where another etcd, or anybody, would be asked: %j', (name, environment) => {
  const refused = refusal(() => load(environment))
  expect(refused.code).toBe('config')
  expect(refused.message).toMatch(new RegExp(`^${name} `))
  expect(JSON.stringify(refused)).not.toContain('secret')
})

test.each<[Record<string, string>, SettingsFlags]>([
  [{ETCDCTL_DISCOVERY_SRV: 'example.com', LEASH_ENDPOINTS: 'a:1'}, {}],
  [{ETCDCTL_DISCOVERY_SRV: 'example.com', ETCDCTL_ENDPOINTS: 'b:1'}, {endpoints: 'a:1'}],
  [{ETCDCTL_INSECURE_SKIP_TLS_VERIFY: 'true', LEASH_ENDPOINTS: 'http://a:1'}, {}],
  [{ETCDCTL_INSECURE_SKIP_TLS_VERIFY: 'false', LEASH_ENDPOINTS: 'https://a:1'}, {}],
  [{ETCDCTL_DIAL_TIMEOUT: '1s', ETCDCTL_COMMAND_TIMEOUT: '1s', ETCDCTL_ENDPOINTS: 'a:1'}, {}],
])('what changes nothing is: %j %j', (environment, flags) => {
  expect(load(environment, flags)).toBeDefined()
})
