import {describe, expect, test} from 'vitest'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'
import type {Enqueue, QueueKeys} from '../../../src/lib/core/ports.ts'
import * as requests from '../../../src/lib/etcd/requests.ts'
import {neededRights, refusal} from '../../../src/lib/etcd/rights.ts'

const ticket = {key: 'p/q/1', lease: 1n as LeaseId, createRevision: 5n}
const queuePrefix = 'p/q/'
const markKey = 'm/q'
const asked: Enqueue = {
  queues: [{queuePrefix, markKey}],
  ...{lease: 1n as LeaseId, value: '', onlyIfNobody: false},
}
const enqueueOf = (keys: Partial<QueueKeys>): unknown =>
  requests.enqueueRequest({...asked, queues: [{queuePrefix, markKey, ...keys}]})
const enqueue = enqueueOf({})

const needed = (request: unknown): string[] =>
  neededRights(request).map(({from, to, read, write}) => {
    const kinds = [read && 'read', write && 'write'].filter(Boolean).join('+')
    return `${kinds} [${from.toString()}, ${to.toString().replace('\0', '.')})`
  })

describe('a request needs', () => {
  test.each<[string, unknown, string[]]>([
    ['to take a turn', enqueue, ['read+write [p/q/, p/q0)', 'read+write [m/q, m/q.)']],
    [
      'to look',
      requests.lookRequest(ticket, {queuePrefix, markKey}),
      ['read [p/q/, p/q0)', 'read [m/q, m/q.)'],
    ],
    [
      'to take a turn at lock 1',
      enqueueOf({markKey: 'm/1'}),
      ['read+write [p/q/, p/q0)', 'read+write [m/1, m/1.)'],
    ],
    [
      'to take a turn where some hold beside others',
      enqueueOf({besideMarks: 'b/q/'}),
      ['read+write [p/q/, p/q0)', 'read+write [m/q, m/q.)', 'read [b/q/, b/q0)'],
    ],
    [
      'to take a turn beside others',
      enqueueOf({besideMarks: 'b/q/', mode: {kind: 'shared'}}),
      ['read+write [p/q/, p/q0)', 'read+write [b/q/, b/q0)', 'read [m/q, m/q.)'],
    ],
    [
      'to stand in an election',
      requests.enqueueRequest({...asked, beside: {key: 'meta/1', value: ''}}),
      ['read+write [p/q/, p/q0)', 'read+write [m/q, m/q.)', 'write [meta/, meta0)'],
    ],
    ['to proclaim', requests.proclaimRequest(ticket, Buffer.from('v'), true), ['read+write [p/q/, p/q0)']],
    [
      'to declare a hold',
      requests.declareHoldRequest([{ticket, markKey}], ''),
      ['read+write [p/q/, p/q0)', 'write [m/q, m/q.)'],
    ],
    [
      'to leave',
      requests.dequeueRequest([{ticket, markKey}]),
      ['read+write [p/q/1, p/q/1.)', 'read+write [m/q, m/q.)'],
    ],
    ['to read a ticket', requests.ticketsRequest([ticket]), ['read [p/q/1, p/q/1.)']],
    ['to watch', {create_request: {key: Buffer.from('p/q/1')}}, ['read [p/q/1, p/q/1.)']],
    ['for a lease', {ID: '1'}, []],
  ])('%s', (_, request, rights) => {
    expect(needed(request)).toEqual(rights)
  })
})

describe('a refusal', () => {
  type Permission = {permType: 'Read' | 'Write' | 'Readwrite'; key: string; range_end?: string}
  const refused = async (
    request: unknown,
    roles: Record<string, Permission[]>,
  ): Promise<{code: string; message: string; wayOut: string}> => {
    const ask = (method: string, about: unknown): Promise<unknown> => {
      if (method === 'userGet') return Promise.resolve({roles: Object.keys(roles)})
      const perm = roles[(about as {role: string}).role]?.map(({permType, key, range_end = ''}) => ({
        permType,
        key: Buffer.from(key),
        range_end: Buffer.from(range_end),
      }))
      return perm ? Promise.resolve({perm}) : Promise.reject(new Error('permission denied'))
    }
    const {code, message, wayOut} = await refusal(
      {request, user: 'u', endpoint: 'http://e:1', cause: undefined},
      ask as Parameters<typeof refusal>[1],
    )
    return {code, message, wayOut}
  }

  test('names the one right that is missing, and how to grant it', async () => {
    const r: Permission[] = [
      {permType: 'Readwrite', key: 'p/q/', range_end: 'p/q0'},
      {permType: 'Read', key: 'm/q'},
    ]
    expect(await refused(enqueue, {r})).toEqual({
      code: 'permission',
      message: 'etcd at http://e:1 denies user "u" to write m/q',
      wayOut: 'grant it: etcdctl role grant-permission r readwrite m/q',
    })
  })

  test('adds up what several roles grant, and leaves it to the reader which of them is to grant more', async () => {
    const read: Permission[] = [{permType: 'Read', key: 'p/', range_end: 'p0'}]
    const mark: Permission[] = [{permType: 'Readwrite', key: 'm', range_end: 'n'}]
    expect(await refused(enqueue, {read, mark})).toMatchObject({
      message: 'etcd at http://e:1 denies user "u" to write p/q/...',
      wayOut: 'grant it: etcdctl role grant-permission ROLE readwrite p/q/ --prefix',
    })
  })

  test('names all that is needed if roles cannot be read, or seem to suffice', async () => {
    const message = 'etcd at http://e:1 denies user "u" to read and write p/q/..., and to read and write m/q'
    expect(await refused(enqueue, {r: undefined as unknown as []})).toMatchObject({message})
    const r: Permission[] = [{permType: 'Readwrite', key: 'a', range_end: '\0'}]
    expect(await refused(enqueue, {r})).toMatchObject({message})
  })

  test('of a user who is known by a certificate names all that is needed, without asking', async () => {
    const ask = (): Promise<never> => Promise.reject(new Error('asked'))
    const denied = {
      request: {key: Buffer.from('k')},
      user: undefined,
      endpoint: 'http://e:1',
      cause: undefined,
    }
    expect(await refusal(denied, ask)).toMatchObject({
      message: 'etcd at http://e:1 denies whom our client certificate names to read k',
      wayOut: 'grant it: etcdctl role grant-permission ROLE readwrite k',
    })
  })

  test('of a request that names no keys says what a lock needs', async () => {
    expect(await refused({ID: '1'}, {r: []})).toMatchObject({
      message: 'etcd at http://e:1 denies user "u" what the lock needs',
    })
  })

  test('quotes for a shell what needs it', async () => {
    const request = {key: Buffer.from("it's")}
    const {wayOut} = await refused(request, {'a role': []})
    expect(wayOut).toBe(String.raw`grant it: etcdctl role grant-permission 'a role' readwrite 'it'\''s'`)
  })
})
