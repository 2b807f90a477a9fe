import {chmodSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, test} from 'vitest'
import {describeOrigin} from '../../../src/lib/config/origin.ts'
import {loadSettings, type SettingsFlags} from '../../../src/lib/config/settings.ts'
import {refusal, TemporaryWorld} from './temporaryWorld.ts'

describe('order', () => {
  test('flag, environment, user file, system file, default', () => {
    using world = new TemporaryWorld()
    const ttl = (flags: SettingsFlags = {}) => {
      const {value, origin} = loadSettings({endpoints: 'a:1', ...flags}, world).timing.ttlMs
      return [value, describeOrigin(origin)]
    }
    expect(ttl()).toEqual([30_000, 'default'])
    const system = world.systemFile('LEASH_TTL=41s')
    expect(ttl()).toEqual([41_000, `LEASH_TTL in ${system}`])
    const user = world.userFile('LEASH_TTL=42s')
    expect(ttl()).toEqual([42_000, `LEASH_TTL in ${user}`])
    world.environment.LEASH_TTL = '43s'
    expect(ttl()).toEqual([43_000, 'LEASH_TTL'])
    expect(ttl({ttl: '44s'})).toEqual([44_000, '--ttl'])
  })

  test('is decided for each setting by itself', () => {
    using world = new TemporaryWorld()
    world.systemFile('LEASH_ENDPOINTS=system:1\nLEASH_PREFIX=system\nLEASH_GRACE=1s')
    world.userFile('LEASH_PREFIX=user/')
    world.environment.LEASH_LOCK_DELAY = '15s'
    const {connection, timing} = loadSettings({'connect-timeout': '3'}, world)
    expect(connection.endpoints.value.map(({url}) => url)).toEqual(['http://system:1'])
    expect(connection.prefix).toMatchObject({value: 'user/', origin: {kind: 'file'}})
    expect(connection.connectTimeoutMs.value).toBe(3000)
    expect(timing.lockDelayMs.value).toBe(15_000)
    expect(timing.graceMs.value).toBe(1000)
    expect(timing.ttlMs.origin).toEqual({kind: 'default'})
  })

  test("puts etcdctl's endpoints behind ours and before the files", () => {
    using world = new TemporaryWorld()
    const endpoints = () => {
      const {value, origin} = loadSettings({}, world).connection.endpoints
      return [value[0]?.url, describeOrigin(origin)]
    }
    world.userFile('LEASH_ENDPOINTS=user:1')
    world.environment.ETCDCTL_ENDPOINTS = 'etcdctl:1'
    expect(endpoints()).toEqual(['http://etcdctl:1', 'ETCDCTL_ENDPOINTS'])
    world.environment.LEASH_ENDPOINTS = 'ours:1'
    expect(endpoints()).toEqual(['http://ours:1', 'LEASH_ENDPOINTS'])
  })

  test('passes over an empty text in the environment and in a file, but not in a flag', () => {
    using world = new TemporaryWorld()
    world.systemFile('LEASH_ENDPOINTS=system:1\nLEASH_TTL=41s')
    world.userFile('LEASH_ENDPOINTS=""\nLEASH_TTL=')
    Object.assign(world.environment, {
      LEASH_TTL: '',
      LEASH_ENDPOINTS: '',
      ETCDCTL_ENDPOINTS: '',
      LEASH_PROFILE: '',
    })
    const {connection, timing} = loadSettings({}, world)
    expect(connection.endpoints.value[0]?.url).toBe('http://system:1')
    expect(timing.ttlMs.value).toBe(41_000)
    expect(refusal(() => loadSettings({ttl: ''}, world)).message).toBe('--ttl "" is not a duration')
    expect(refusal(() => loadSettings({endpoints: ''}, world)).message).toBe(
      '--endpoints "" names no endpoint',
    )
    expect(refusal(() => loadSettings({profile: ''}, world)).message).toBe(
      '--profile "" is not a profile name',
    )
    expect(refusal(() => loadSettings({prefix: ''}, world)).message).toBe('--prefix "" is empty')
  })

  test('does not look at a value that a nearer source overrides', () => {
    using world = new TemporaryWorld()
    world.environment.LEASH_TTL = 'abc'
    expect(loadSettings({endpoints: 'a:1', ttl: '5s'}, world).timing.ttlMs.value).toBe(5000)
  })
})

test('has the documented defaults', () => {
  using world = new TemporaryWorld()
  const {connection, timing} = loadSettings({endpoints: 'a:1'}, world)
  const origin = {kind: 'default'}
  expect(connection.prefix).toEqual({value: 'leash/', origin})
  expect(connection.connectTimeoutMs).toEqual({value: 10_000, origin})
  expect(timing).toEqual({
    ttlMs: {value: 30_000, origin},
    lockDelayMs: {value: 0, origin},
    graceMs: {value: undefined, origin},
  })
})

test('names the ways out when nothing is configured', () => {
  using world = new TemporaryWorld()
  const {code, message, wayOut} = refusal(() => loadSettings({}, world))
  expect(code).toBe('config')
  expect(message).toBe('no etcd endpoint is configured')
  expect(wayOut).toBe(
    `set LEASH_ENDPOINTS, or write LEASH_ENDPOINTS=host:2379 to ${world.systemDirectory}/leash.env; ` +
      'for locks of this user on this machine alone give --local, or LEASH_ENDPOINTS=local',
  )
})

describe('a wrong value', () => {
  test.each(['ttl', 'lock-delay', 'grace', 'connect-timeout'] as const)(
    'of %s is a usage error from a flag and a configuration error from elsewhere',
    (name) => {
      using world = new TemporaryWorld()
      const variable = `LEASH_${name.toUpperCase().replace('-', '_')}`
      expect(refusal(() => loadSettings({endpoints: 'a:1', [name]: 'abc'}, world))).toMatchObject({
        code: 'usage',
        message: `--${name} "abc" is not a duration`,
      })
      const path = world.systemFile(`${variable}=abc`)
      expect(refusal(() => loadSettings({endpoints: 'a:1'}, world))).toMatchObject({
        code: 'config',
        message: `${variable} "abc" in ${path} is not a duration`,
      })
      world.environment[variable] = '-1s'
      expect(refusal(() => loadSettings({endpoints: 'a:1'}, world))).toMatchObject({
        code: 'config',
        message: `${variable} "-1s" is negative`,
      })
    },
  )

  test.each(['ttl', 'connect-timeout'] as const)('is zero for %s', (name) => {
    using world = new TemporaryWorld()
    expect(refusal(() => loadSettings({endpoints: 'a:1', [name]: '0'}, world)).message).toBe(
      `--${name} "0" must be longer than zero`,
    )
  })

  test('is not zero for the lock-delay and the grace', () => {
    using world = new TemporaryWorld()
    const {timing} = loadSettings({endpoints: 'a:1', 'lock-delay': '0', grace: '0s'}, world)
    expect([timing.lockDelayMs.value, timing.graceMs.value]).toEqual([0, 0])
  })

  test.each(['ttl', 'lock-delay', 'grace', 'connect-timeout'] as const)(
    'is more than a day for %s',
    (name) => {
      using world = new TemporaryWorld()
      expect(refusal(() => loadSettings({endpoints: 'a:1', [name]: '1d1ms'}, world)).message).toMatch(
        new RegExp(`^--${name} "1d1ms" is longer than 24h, which is the limit because `),
      )
      expect(() => loadSettings({endpoints: 'a:1', [name]: '1d'}, world)).not.toThrow()
    },
  )

  test('is shown in part when it is very long', () => {
    using world = new TemporaryWorld()
    expect(
      refusal(() => loadSettings({endpoints: 'a:1', ttl: 'x'.repeat(5000)}, world)).message.length,
    ).toBeLessThan(200)
  })
})

describe('a profile', () => {
  test('stands instead of leash.env, at both places', () => {
    using world = new TemporaryWorld()
    world.systemFile('LEASH_ENDPOINTS=production:1\nLEASH_TTL=41s')
    const system = world.systemFile('LEASH_GRACE=2s', 'staging.env')
    world.userFile('LEASH_ENDPOINTS=staging:1', 'staging.env')
    const {connection, timing} = loadSettings({profile: 'staging'}, world)
    expect(connection.endpoints.value[0]?.url).toBe('http://staging:1')
    expect(describeOrigin(timing.graceMs.origin)).toBe(`LEASH_GRACE in ${system}`)
    expect(timing.ttlMs.value).toBe(30_000)
  })

  test('comes from --profile before LEASH_PROFILE', () => {
    using world = new TemporaryWorld()
    world.systemFile('LEASH_ENDPOINTS=one:1', 'one.env')
    world.systemFile('LEASH_ENDPOINTS=two:1', 'two.env')
    world.environment.LEASH_PROFILE = 'one'
    expect(loadSettings({}, world).connection.endpoints.value[0]?.url).toBe('http://one:1')
    expect(loadSettings({profile: 'two'}, world).connection.endpoints.value[0]?.url).toBe('http://two:1')
  })

  test('that exists nowhere is refused, even when nothing would be read from it', () => {
    using world = new TemporaryWorld()
    world.systemFile('LEASH_ENDPOINTS=production:1')
    expect(refusal(() => loadSettings({profile: 'staging', endpoints: 'a:1'}, world))).toEqual({
      code: 'config',
      message: '--profile "staging" is a profile without a file',
      wayOut: `create ${world.userDirectory}/staging.env or ${world.systemDirectory}/staging.env, or choose another profile`,
    })
  })

  test.each(['../leash', 'a/b', '.hidden', '-v', 'a b', 'a\nb', 'a\0b', '..', 'x'.repeat(65)])(
    'cannot be called %j',
    (profile) => {
      using world = new TemporaryWorld()
      expect(refusal(() => loadSettings({profile}, world))).toMatchObject({
        code: 'usage',
        message: expect.stringContaining('is not a profile name') as string,
      })
      world.environment.LEASH_PROFILE = profile
      expect(refusal(() => loadSettings({}, world)).code).toBe('config')
    },
  )
})

describe('files', () => {
  test.each(['userFile', 'systemFile'] as const)(
    'that others can write are refused, even when unused (%s)',
    (place) => {
      using world = new TemporaryWorld()
      const path = world[place]('LEASH_TTL=1s')
      chmodSync(path, 0o666)
      expect(refusal(() => loadSettings({endpoints: 'a:1', ttl: '5s'}, world))).toEqual({
        code: 'config',
        message: `${path} can be written by others than its owner`,
        wayOut: `check what is in it, then: chmod go-w ${path}`,
      })
    },
  )

  test('cannot set what they do not know, while the environment may hold the variables of an outer leash', () => {
    using world = new TemporaryWorld()
    world.environment.LEASH_LOCK = 'nightly'
    world.environment.LEASH_FENCE = '7'
    expect(() => loadSettings({endpoints: 'a:1'}, world)).not.toThrow()
    world.systemFile('LEASH_LOCK=nightly')
    expect(refusal(() => loadSettings({endpoints: 'a:1'}, world)).message).toContain('sets LEASH_LOCK, which')
  })

  test("never reach the child's environment", () => {
    using world = new TemporaryWorld()
    world.systemFile('LEASH_ENDPOINTS=a:1\nLEASH_TTL=41s')
    const before = JSON.stringify(process.env)
    loadSettings({}, world)
    expect(JSON.stringify(process.env)).toBe(before)
    expect(world.environment).toEqual({})
  })

  test('in the working directory are not read', () => {
    using world = new TemporaryWorld()
    world.write(join(world.root, 'leash.env'), 'LEASH_TTL=41s')
    const back = process.cwd()
    process.chdir(world.root)
    try {
      expect(loadSettings({endpoints: 'a:1'}, world).timing.ttlMs.value).toBe(30_000)
    } finally {
      process.chdir(back)
    }
  })

  test('of the system are read for a user without a home', () => {
    using world = new TemporaryWorld()
    world.systemFile('LEASH_ENDPOINTS=a:1', 'p.env')
    const {environment, uid, systemDirectory, isTold} = world
    const homeless = {environment, uid, systemDirectory, isTold, home: undefined}
    expect(loadSettings({profile: 'p'}, homeless).connection.endpoints.value[0]?.url).toBe('http://a:1')
    expect(refusal(() => loadSettings({profile: 'q'}, homeless)).wayOut).toBe(
      `create ${systemDirectory}/q.env, or choose another profile`,
    )
  })
})
