import {describe, expect, test} from 'vitest'
import type {SeenTicket} from '../../../src/lib/core/observation.ts'
import type {Observed} from '../../../src/lib/core/observer.ts'
import {changeLine, newsJson, observerMessage} from '../../../src/lib/output/observed.ts'

const wallMs = Date.UTC(2030, 0, 1)
const time = '2030-01-01T00:00:00.000Z'
const ticket = (value: string | Uint8Array): SeenTicket => ({
  key: 'leash/election/api/abc',
  // Beyond what a JS number can hold.
  createRevision: 9007199254740993n,
  modRevision: 9007199254740995n,
  lease: 0xabcn,
  value: Buffer.from(value as string),
})
const elected = (value: string | Uint8Array): Observed => ({
  kind: 'elected',
  revision: 9007199254740997n,
  ticket: ticket(value),
})
const holder = JSON.stringify({host: 'h', user: 'u', pid: 7, since: 'then'})

test.each<[kind: 'election' | 'lock', news: Observed, line: string | undefined]>([
  ['election', elected('10.0.0.1:80'), `${time} elected 10.0.0.1:80 (fence 9007199254740993)\n`],
  [
    'election',
    {kind: 'proclaimed', revision: 10n, ticket: ticket('v 2')},
    `${time} proclaimed v 2 (fence 9007199254740993)\n`,
  ],
  ['election', {kind: 'vacant', revision: 10n}, `${time} vacant\n`],
  ['lock', elected(holder), `${time} held by u@h (pid 7) since then (fence 9007199254740993)\n`],
  [
    'lock',
    {kind: 'proclaimed', revision: 10n, ticket: ticket('')},
    `${time} still held by another program (leash/election/api/abc) (fence 9007199254740993)\n`,
  ],
  ['lock', {kind: 'vacant', revision: 10n}, `${time} free\n`],
  ['election', {kind: 'fresh'}, undefined],
])('of %s, line %# for people', (kind, news, line) => {
  expect(changeLine(kind, news, wallMs)).toBe(line)
})

describe('what others wrote', () => {
  test('cannot move the cursor, begin a line or hide what follows', () => {
    expect(changeLine('election', elected('a\u001b[2J\nb\u202ec\u0000'), wallMs)).toBe(
      `${time} elected a\\x1b[2J\\nb\\u{202e}c\\x00 (fence 9007199254740993)\n`,
    )
  })

  test('cannot begin a line as the key of a ticket either', () => {
    const news: Observed = {kind: 'elected', revision: 10n, ticket: {...ticket(''), key: 'q/\n\u00ff'}}
    expect(changeLine('lock', news, wallMs)).toBe(
      `${time} held by another program (q/\\n\ufffd) (fence 9007199254740993)\n`,
    )
  })
})

describe('JSON', () => {
  test('has the value as text and as bytes, and numbers that JS cannot hold as strings', () => {
    expect(JSON.parse(newsJson('election', elected('grün\n'), wallMs))).toEqual({
      event: 'elected',
      time,
      revision: '9007199254740997',
      key: 'leash/election/api/abc',
      fence: '9007199254740993',
      lease: 'abc',
      value: 'grün\n',
      valueBase64: Buffer.from('grün\n').toString('base64'),
    })
  })

  test('has a value that is no UTF-8 as bytes only', () => {
    const parsed = JSON.parse(newsJson('election', elected(Uint8Array.of(0xff, 0)), wallMs)) as object
    expect(parsed).toMatchObject({valueBase64: '/wA='})
    expect(parsed).not.toHaveProperty('value')
  })

  test('has the holder of a lock, and null for another program', () => {
    expect(JSON.parse(newsJson('lock', elected(holder), wallMs))).toMatchObject({holder: {pid: 7}})
    expect(JSON.parse(newsJson('lock', elected(''), wallMs))).toMatchObject({holder: null, value: ''})
  })

  test.each<[Observed, object]>([
    [
      {kind: 'vacant', revision: 10n},
      {event: 'vacant', revision: '10'},
    ],
    [
      {kind: 'stale', afterMs: 15_000.4, reason: 'silence'},
      {event: 'stale', afterMs: 15_000, reason: 'silence'},
    ],
    [{kind: 'fresh'}, {event: 'fresh'}],
    [
      {kind: 'gap', afterRevision: 9n},
      {event: 'gap', afterRevision: '9'},
    ],
  ])('of news %# is one object on a line', (news, fields) => {
    const line = newsJson('election', news, wallMs)
    expect(line).toMatch(/^[^\n]+\n$/)
    expect(JSON.parse(line)).toEqual({time, ...fields})
  })
})

test.each<[Observed, string | undefined]>([
  [
    {kind: 'stale', afterMs: 15_040, reason: 'no answer'},
    'what was shown may be stale: not confirmed for 15.0 s (no answer)',
  ],
  [{kind: 'fresh'}, 'what was shown is confirmed again'],
  [
    {kind: 'gap', afterRevision: 9n},
    'changes after revision 9 may be missing here: the history of so long ago is gone',
  ],
  [{kind: 'vacant', revision: 10n}, undefined],
])('news %# on stderr', (news, message) => {
  expect(observerMessage(news)).toBe(message)
})
