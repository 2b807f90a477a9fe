import {describe, expect, test} from 'vitest'
import {parseEndpoints} from '../../../src/lib/config/endpoints.ts'
import type {Origin} from '../../../src/lib/config/origin.ts'
import {refusal} from './temporaryWorld.ts'

const flag: Origin = {kind: 'flag', name: '--endpoints'}
const environment: Origin = {kind: 'environment', variable: 'LEASH_ENDPOINTS'}
const parse = (text: string, origin: Origin = flag) => parseEndpoints({text, origin})

describe('reads', () => {
  test.each([
    ['http://127.0.0.1:2379', {scheme: 'http', host: '127.0.0.1', port: 2379, url: 'http://127.0.0.1:2379'}],
    [
      'etcd-1.example:2379',
      {scheme: 'http', host: 'etcd-1.example', port: 2379, url: 'http://etcd-1.example:2379'},
    ],
    [
      'my_project-etcd_1:1',
      {scheme: 'http', host: 'my_project-etcd_1', port: 1, url: 'http://my_project-etcd_1:1'},
    ],
    ['HTTP://ETCD:65535/', {scheme: 'http', host: 'etcd', port: 65_535, url: 'http://etcd:65535'}],
    ['http://[::1]:2379', {scheme: 'http', host: '::1', port: 2379, url: 'http://[::1]:2379'}],
    [
      '[2001:DB8:0:0::1]:2379',
      {scheme: 'http', host: '2001:db8::1', port: 2379, url: 'http://[2001:db8::1]:2379'},
    ],
    [' local ', {scheme: 'local', url: 'local'}],
  ])('%s', (text, endpoint) => {
    expect(parse(text)).toEqual([endpoint])
  })

  test('a list in its order, with white space, each member once', () => {
    expect(parse(' a:1, http://b:2 ,A:1/,c:3').map(({url}) => url)).toEqual([
      'http://a:1',
      'http://b:2',
      'http://c:3',
    ])
  })
})

test('etcdctl knows of no engine of this machine, so its variable names a host', () => {
  const etcdctls: Origin = {kind: 'environment', variable: 'ETCDCTL_ENDPOINTS'}
  for (const text of ['local', ' local ', 'a:1,local'])
    expect(refusal(() => parse(text, etcdctls))).toMatchObject({
      code: 'config',
      message: 'ETCDCTL_ENDPOINTS "local" has no port',
    })
})

describe('refuses', () => {
  test.each([
    ['', 'names no endpoint'],
    ['  ', 'names no endpoint'],
    ['ftp://a:1', 'has a scheme other than http and https'],
    ['http://a', 'has no port'],
    ['a', 'has no port'],
    ['a:', 'has no port'],
    ['2379', 'does not name a host'],
    [':2379', 'does not name a host'],
    ['http://', 'does not name a host'],
    ['http://:2379', 'does not name a host'],
    ['300.1.1.1:2379', 'does not name a host'],
    ['10.0.1:2379', 'does not name a host'],
    ['-v:2379', 'does not name a host'],
    ['a b:2379', 'does not name a host'],
    ['bücher:2379', 'does not name a host'],
    ['[::1:2379', 'is not an endpoint'],
    ['[zz]:2379', 'does not name a host'],
    ['[]:2379', 'does not name a host'],
    ['::1:2379', 'is an IPv6 address without brackets'],
    ['http://fe80::1:2379', 'is an IPv6 address without brackets'],
    ['a:0', 'has a port that is not between 1 and 65535'],
    ['a:65536', 'has a port that is not between 1 and 65535'],
    ['a:b', 'is not an endpoint'],
    ['a:1:x', 'is not an endpoint'],
    ['http://a:2379/v3', 'has a path or a query, which etcd does not know'],
    ['http://a:2379?x=1', 'has a path or a query, which etcd does not know'],
  ])('%j: %s', (text, rule) => {
    const {code, message, wayOut} = refusal(() => parse(text))
    expect(message).toBe(`--endpoints ${JSON.stringify(text)} ${rule}`)
    expect(code).toBe('usage')
    expect(wayOut).not.toBe('')
    expect(refusal(() => parse(text, environment)).code).toBe('config')
  })

  test('the entry that is wrong, not the whole list', () => {
    expect(refusal(() => parse('a:1,b')).message).toBe('--endpoints "b" has no port')
  })

  test.each(['a:1,', ',a:1', 'a:1,,b:2', ','])('the empty entry in %s', (text) => {
    expect(refusal(() => parse(text)).message).toBe('--endpoints "" is an empty entry in the list')
  })

  test.each(['http://root:secret@a:1', 'http://root:sec,ret@a:1', 'a:1,secret@b:2'])(
    'credentials in %s without showing them',
    (text) => {
      const {code, message, wayOut} = refusal(() => parse(text, environment))
      expect(code).toBe('config')
      expect(message).toMatch(/^LEASH_ENDPOINTS contains an @/)
      expect(message + wayOut).not.toMatch(/sec|root/)
    },
  )

  test('http and https side by side, with the reason', () => {
    expect(refusal(() => parse('http://a:1,https://b:2'))).toMatchObject({
      code: 'usage',
      message: expect.stringContaining('mixes http and https: one connection policy') as string,
    })
    expect(refusal(() => parse('https://b:2,a:1')).message).toContain('mixes http and https')
  })

  test.each(['a:1,local', 'local,a:1', 'local,local'])(
    '%s, as the engine of this machine is no member',
    (text) => {
      expect(refusal(() => parse(text))).toMatchObject({
        code: 'usage',
        message: expect.stringContaining('"local" stands beside other endpoints') as string,
      })
    },
  )

  test.each([
    ['unix:/run/etcd.sock', 'asks for a Unix socket: this version of leash reaches etcd over TCP only'],
    ['UNIX:///run/etcd.sock', 'asks for a Unix socket: this version of leash reaches etcd over TCP only'],
  ])('%s as configuration that this version lacks, even from a flag', (text, rule) => {
    const {code, message} = refusal(() => parse(text))
    expect(code).toBe('config')
    expect(message).toContain(rule)
  })
})
