import type {Message} from '../support/EtcdApi.ts'
import type {Operation} from './operations.ts'

const put = (key: string, more: Message = {}): Operation => ({
  rpc: 'put',
  request: {key, value: 'x', ...more},
})
const range = (key: string, more: Message = {}): Operation => ({rpc: 'range', request: {key, ...more}})
const grant = (ID: unknown, TTL: unknown): Operation => ({rpc: 'grant', request: {ID, TTL}})
const ofLease = (rpc: 'revoke' | 'keepAlive' | 'timeToLive', ID: unknown): Operation => ({rpc, request: {ID}})
const txn = (success: readonly Message[], failure: readonly Message[] = []): Operation => ({
  rpc: 'txn',
  request: {compare: [], success, failure},
})
const watch = (key: string, more: Message = {}): Operation => ({
  rpc: 'watch',
  stream: 0,
  request: {key, ...more},
})

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({length: count}, (_, index) => make(index))
const gets = (count: number): Message[] => times(count, () => ({request_range: {key: '~/a'}}))
const all = {key: '~/', range_end: '~0'}
const nested = (depth: number): Message =>
  depth === 0
    ? {request_put: {key: '~/a', value: 'deep'}}
    : {request_txn: {compare: [], success: [nested(depth - 1)], failure: []}}

/** What random sequences seldom or never come to: limits, and values that make no sense. */
export const corners: Readonly<Record<string, readonly Operation[]>> = {
  'as many operations as a transaction may have': [txn(gets(128)), txn(gets(129)), txn([], gets(129))],
  'as many operations in nested transactions': [
    txn([...gets(100), {request_txn: {compare: [], success: gets(27), failure: []}}]),
    txn([...gets(100), {request_txn: {compare: [], success: gets(28), failure: []}}]),
    txn([nested(5)]),
    range('~/a'),
  ],
  'operations that are none': [txn([{}]), txn([{request_put: {}}]), txn([{request_range: {}}])],
  'a value that is as large as may be, and one that is larger': [
    put('~/a', {value: 'x'.repeat(1_500_000)}),
    put('~/a', {value: 'x'.repeat(1_600_000)}),
    range('~/a', {keys_only: true}),
  ],
  'numbers below 0': [
    put('~/a'),
    range('~/', {...all, limit: -1}),
    range('~/a', {revision: 'minus'}),
    range('~/', {...all, min_mod_revision: 'minus', max_create_revision: 'minus'}),
    watch('~/a', {watch_id: -5}),
    ofLease('keepAlive', 'minus'),
    ofLease('timeToLive', 'minus'),
    ofLease('revoke', 'minus'),
    put('~/a', {lease: 'minus'}),
  ],
  'no lease': [
    ofLease('keepAlive', 'none'),
    ofLease('timeToLive', 'none'),
    ofLease('revoke', 'none'),
    put('~/a', {lease: 'none'}),
  ],
  'the shortest leases': [grant(1, 0), grant(2, 1), grant(3, -5)],
  'a transaction that puts below what it deletes': [
    put('~/a'),
    txn([{request_delete_range: all}, {request_put: {key: '~/a', value: ''}}]),
    txn([{request_put: {key: '~/a', value: ''}}, {request_delete_range: all}]),
    txn([{request_delete_range: {key: '~/', range_end: '\0'}}, {request_put: {key: '~/a', value: 'y'}}]),
    range('~/', all),
    txn([{request_put: {key: '~/a', value: 'z'}}, {request_delete_range: {key: '~/', range_end: '\0'}}]),
    range('~/', all),
  ],
  'a transaction that reads what it writes': [
    put('~/a'),
    txn([
      {request_range: all},
      {request_put: {key: '~/b', value: 'y', prev_kv: true}},
      {request_range: all},
      {request_range: {...all, revision: 1}},
      {request_range: {...all, revision: 2}},
      {request_delete_range: {key: '~/a', prev_kv: true}},
      {request_range: all},
    ]),
    txn([{request_put: {key: '~/c', value: ''}}, {request_range: {...all, revision: 3}}]),
  ],
  'one id for two watches of a stream, again after a cancellation': [
    watch('~/a', {watch_id: 2}),
    watch('~/b', {watch_id: 2}),
    watch('~/c'),
    watch('~/c'),
    watch('~/c'),
    {rpc: 'cancel', nth: 0},
    watch('~/b', {watch_id: 2}),
    put('~/b'),
    put('~/c'),
  ],
  'watches of ranges that are empty, and of no key': [
    watch('~/b', {range_end: '~/a'}),
    watch('~/b', {range_end: '~/b'}),
    watch(''),
    watch('', {range_end: '\0'}),
    put('~/a'),
  ],
  'more revisions of the past than one answer tells': [
    ...times(1100, () => put('~/a', {value: ''})),
    watch('~/a', {start_revision: 1, prev_kv: true}),
  ],
  'a key that changes its lease, and is put without one': [
    grant(1, 600),
    grant(2, 600),
    put('~/a', {lease: 1}),
    put('~/a', {lease: 2}),
    ofLease('revoke', 1),
    range('~/a'),
    put('~/a'),
    ofLease('revoke', 2),
    range('~/a'),
  ],
  'a lease with keys that is granted anew after its end': [
    grant(1, 600),
    put('~/b', {lease: 1}),
    put('~/a', {lease: 1}),
    watch('~/', {range_end: '~0', prev_kv: true}),
    ofLease('revoke', 1),
    grant(1, 600),
    ofLease('timeToLive', 1),
    range('~/', all),
  ],
  'a lease that runs out, watched': [
    watch('~/', {range_end: '~0', prev_kv: true}),
    {rpc: 'expire', lease: 1},
    grant(1, 600),
  ],
}
