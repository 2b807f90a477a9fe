import {chmodSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, test} from 'vitest'
import {withoutPasswords} from '../../../src/lib/config/credentials.ts'
import {describeSettings} from '../../../src/lib/config/describeSettings.ts'
import {loadSettings, type SettingsFlags} from '../../../src/lib/config/settings.ts'
import {refusal, TemporaryWorld} from './temporaryWorld.ts'

const secret = 'se:cret'

/** A world where plain text does no harm. */
const worldWith = (variables: Record<string, string>): TemporaryWorld => {
  const world = new TemporaryWorld()
  Object.assign(world.environment, {LEASH_ENDPOINTS: 'https://a:1', ...variables})
  return world
}
const secretFile = (world: TemporaryWorld, text = secret, mode = 0o600): string => {
  const path = world.write(join(world.root, 'password'), text)
  chmodSync(path, mode)
  return path
}
const who = (world: TemporaryWorld, flags: SettingsFlags = {}): (string | undefined)[] => {
  const {user, password} = loadSettings(flags, world).connection.credentials ?? {}
  return [user?.value, password?.value]
}

describe('user and password', () => {
  test('are nobody and none, if nothing is said', () => {
    using world = worldWith({})
    expect(loadSettings({}, world).connection.credentials).toBeUndefined()
  })

  test.each<[string, Record<string, string>]>([
    ['LEASH_USER and LEASH_PASSWORD', {LEASH_USER: 'u', LEASH_PASSWORD: secret}],
    ['LEASH_USER with a password behind the first colon', {LEASH_USER: `u:${secret}`}],
    ['ETCDCTL_USER and ETCDCTL_PASSWORD', {ETCDCTL_USER: 'u', ETCDCTL_PASSWORD: secret}],
    ['ETCDCTL_USER with a password', {ETCDCTL_USER: `u:${secret}`}],
    [
      "ours before etcdctl's",
      {LEASH_USER: 'u', ETCDCTL_USER: 'x:y', LEASH_PASSWORD: secret, ETCDCTL_PASSWORD: 'z'},
    ],
  ])('are those of %s', (_, variables) => {
    using world = worldWith(variables)
    expect(who(world)).toEqual(['u', secret])
  })

  test.each(['LEASH_USER=u\nLEASH_PASSWORD=pw', 'LEASH_USER=u:pw'])(
    'are those of leash.env, if only its owner can read it: %j',
    (text) => {
      using world = worldWith({})
      const file = world.userFile(text)
      chmodSync(file, 0o600)
      expect(who(world)).toEqual(['u', 'pw'])
      for (const mode of [0o640, 0o604]) {
        chmodSync(file, mode)
        expect(refusal(() => who(world))).toEqual({
          code: 'config',
          message: `${file} holds a password and is open to others than its owner`,
          wayOut: `change the password if they may have read it, then: chmod go= ${file}`,
        })
      }
    },
  )

  test('a file that is open to others does no harm if its password is not used', () => {
    using world = worldWith({LEASH_PASSWORD: secret})
    world.systemFile('LEASH_USER=u\nLEASH_PASSWORD=pw')
    expect(who(world)).toEqual(['u', secret])
  })
})

describe('a file of a password', () => {
  test.each([secret, `${secret}\n`, `${secret}\r\n`])('holds it on its one line: %j', (text) => {
    using world = worldWith({LEASH_USER: 'u'})
    const file = secretFile(world, text)
    world.environment.LEASH_PASSWORD_FILE = file
    expect(who(world)).toEqual(['u', secret])
    expect(loadSettings({}, world).connection.credentials?.passwordFile).toBe(file)
  })

  test.each<[string, Record<string, string>, string]>([
    ['the flag before a password in the environment', {LEASH_PASSWORD: 'x'}, '--password-file'],
    ["a file before etcdctl's password", {ETCDCTL_PASSWORD: 'x'}, 'LEASH_PASSWORD_FILE'],
  ])('counts by how near it was named: %s', (_, variables, how) => {
    using world = worldWith({LEASH_USER: 'u', ...variables})
    const file = secretFile(world)
    const flags = how.startsWith('--') ? {'password-file': file} : {}
    if (!how.startsWith('--')) world.environment[how] = file
    expect(who(world, flags)).toEqual(['u', secret])
  })

  test('named in leash.env counts less than a password in the environment', () => {
    using world = worldWith({LEASH_USER: 'u', LEASH_PASSWORD: 'near'})
    world.systemFile(`LEASH_PASSWORD_FILE=${secretFile(world)}`)
    expect(who(world)).toEqual(['u', 'near'])
    delete world.environment.LEASH_PASSWORD
    expect(who(world)).toEqual(['u', secret])
  })
})

describe('refused, without a word of the password, is', () => {
  test.each<[string, Record<string, string>, string]>([
    ['a user alone', {LEASH_USER: 'u'}, 'LEASH_USER "u" is a user without a password'],
    ['a password alone', {LEASH_PASSWORD: secret}, 'LEASH_PASSWORD is of no use without a user'],
    ['a password without a name before it', {ETCDCTL_USER: `:${secret}`}, 'ETCDCTL_USER begins with a colon'],
    ['an empty password', {LEASH_USER: 'u:'}, 'LEASH_USER has an empty password'],
    [
      'a second password',
      {LEASH_USER: `u:${secret}`, ETCDCTL_PASSWORD: secret},
      'LEASH_USER carries a password, and ETCDCTL_PASSWORD gives one, too',
    ],
    [
      'a password and a file',
      {LEASH_USER: 'u', LEASH_PASSWORD: secret, LEASH_PASSWORD_FILE: '/x'},
      'LEASH_PASSWORD and LEASH_PASSWORD_FILE both give a password',
    ],
    ['what is no text', {LEASH_USER: 'u', LEASH_PASSWORD: `${secret}\ufffd`}, 'LEASH_PASSWORD is not UTF-8'],
  ])('%s', (_, variables, message) => {
    using world = worldWith(variables)
    const refused = refusal(() => who(world))
    expect(refused).toMatchObject({code: 'config', message})
    expect(JSON.stringify(refused)).not.toContain(secret)
  })

  test('a relative path in leash.env', () => {
    using world = worldWith({LEASH_USER: 'u'})
    const file = world.systemFile('LEASH_PASSWORD_FILE=password')
    expect(refusal(() => who(world)).message).toBe(
      `LEASH_PASSWORD_FILE "password" in ${file} is not an absolute path`,
    )
  })
})

describe('plain text', () => {
  const refused = (variables: Record<string, string>, flags: SettingsFlags = {}): object | undefined => {
    using world = worldWith({LEASH_ENDPOINTS: 'http://a:1', ...variables})
    try {
      loadSettings(flags, world)
      return undefined
    } catch (error) {
      return {...(error as object), message: (error as Error).message}
    }
  }
  const password = {LEASH_USER: 'u', LEASH_PASSWORD: secret}

  test('is refused for a password', () => {
    expect(refused(password)).toMatchObject({
      code: 'config',
      message: 'the password from LEASH_PASSWORD would be sent in plain text, because the endpoints are http',
    })
    expect(refused({})).toBeUndefined()
    expect(refused({...password, LEASH_ENDPOINTS: 'https://a:1'})).toBeUndefined()
  })

  test.each<[Record<string, string>, SettingsFlags]>([
    [{}, {'insecure-transport': true}],
    [{LEASH_INSECURE_TRANSPORT: 'true'}, {}],
    [{LEASH_INSECURE_TRANSPORT: '1'}, {}],
    [{ETCDCTL_INSECURE_TRANSPORT: 'true'}, {}],
    [{LEASH_INSECURE_TRANSPORT: 'false'}, {'insecure-transport': true}],
  ])('is allowed by %j %j', (variables, flags) => {
    expect(refused({...password, ...variables}, flags)).toBeUndefined()
  })

  test.each(['LEASH_INSECURE_TRANSPORT', 'ETCDCTL_INSECURE_TRANSPORT'])(
    'of any kind is forbidden by %s=false',
    (name) => {
      expect(refused({[name]: 'false'})).toMatchObject({
        code: 'config',
        message: `${name} forbids plain text, but the endpoints are http`,
      })
      using world = worldWith({LEASH_ENDPOINTS: 'a:1', [name]: 'false'})
      expect(loadSettings({}, world).connection.endpoints.value[0]?.scheme).toBe('https')
    },
  )

  test('is allowed or forbidden, and nothing else', () => {
    expect(refused({LEASH_INSECURE_TRANSPORT: 'maybe'})).toMatchObject({
      code: 'config',
      message: 'LEASH_INSECURE_TRANSPORT "maybe" is neither true nor false',
    })
  })
})

describe('--explain', () => {
  test.each<[Record<string, string>, string[]]>([
    [{LEASH_USER: `u:${secret}`}, ['user u (LEASH_USER)', 'password not shown (LEASH_USER)']],
    [
      {LEASH_USER: 'u', LEASH_PASSWORD: secret},
      ['user u (LEASH_USER)', 'password not shown (LEASH_PASSWORD)'],
    ],
  ])('says who we are and where the password was found, not what it is: %#', (variables, lines) => {
    using world = worldWith(variables)
    const text = describeSettings(loadSettings({}, world))
    expect(text).toEqual(expect.arrayContaining(lines))
    expect(text.join('\n')).not.toContain(secret)
  })

  test('names the file', () => {
    using world = worldWith({LEASH_USER: 'u'})
    const file = secretFile(world)
    world.environment.LEASH_PASSWORD_FILE = file
    expect(describeSettings(loadSettings({}, world))).toContain(`password ${file} (LEASH_PASSWORD_FILE)`)
  })
})

test('what a job inherits lets nobody in', () => {
  const given = [
    ['LEASH_USER', 'u'],
    ['ETCDCTL_USER', 'u:pw'],
    ['LEASH_PASSWORD', 'pw'],
    ['ETCDCTL_PASSWORD', 'pw'],
    ['LEASH_PASSWORD_FILE', '/x'],
    ['OTHER', 'a:b'],
  ] as const
  expect(withoutPasswords(given).map(([name]) => name)).toEqual([
    'LEASH_USER',
    'LEASH_PASSWORD_FILE',
    'OTHER',
  ])
  const bytes = [['LEASH_USER', Buffer.from('u:\xff', 'latin1')]] as const
  expect(withoutPasswords(bytes)).toEqual([])
})
