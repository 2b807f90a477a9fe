import * as fc from 'fast-check'
import type {Message} from '../support/EtcdApi.ts'

/**
 * One request of the v3 API, and where it goes. Its leaves are symbols, the same for each target: a key with `~` in front stands
 * below the sequence's prefix, a revision counts from the sequence's start, a lease is 1, 2 or 3; `none` is 0
 * in both, `minus` something below it.
 */
export type Operation =
  | {readonly rpc: 'range' | 'put' | 'deleteRange' | 'txn' | 'grant' | 'revoke'; readonly request: Message}
  | {readonly rpc: 'keepAlive' | 'timeToLive' | 'leases'; readonly request: Message}
  /** On the first or the second watch stream of the sequence. */
  | {readonly rpc: 'watch'; readonly stream: number; readonly request: Message}
  /** The n-th of those that are open, counted around. */
  | {readonly rpc: 'cancel'; readonly nth: number}
  /** Grants the shortest lease, puts two keys with it, and waits until it has run out. */
  | {readonly rpc: 'expire'; readonly lease: number}

/** The longest sequence. */
const longest = 40

const letters = fc.constantFrom('a', 'b', 'c')
const key = fc.oneof(
  {weight: 8, arbitrary: letters.map((letter) => `~/${letter}`)},
  {weight: 2, arbitrary: fc.tuple(letters, letters).map(([one, two]) => `~/${one}${two}`)},
  {weight: 1, arbitrary: fc.constantFrom('~/a\0', '~/\xff', '~/')},
)
const anyKey = fc.oneof({weight: 40, arbitrary: key}, {weight: 1, arbitrary: fc.constant('')})
const following = (text: string): string =>
  text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1)

/** Single keys, ranges (empty ones too), prefixes, everything from a key on, everything. */
const span: fc.Arbitrary<{key: string; range_end?: string}> = fc.oneof(
  {weight: 6, arbitrary: anyKey.map((from) => ({key: from}))},
  {weight: 3, arbitrary: fc.record({key: anyKey, range_end: key})},
  {
    weight: 3,
    arbitrary: letters.map((letter) => ({key: `~/${letter}`, range_end: `~/${following(letter)}`})),
  },
  {weight: 4, arbitrary: fc.constant({key: '~/', range_end: '~0'})},
  {weight: 1, arbitrary: key.map((from) => ({key: from, range_end: '\0'}))},
  {weight: 1, arbitrary: fc.constant({key: '\0', range_end: '\0'})},
)

const value = fc.constantFrom('', 'x', 'y', 'xx', '\0\xff')
/** The first more often than others: half of what names a lease should meet one that is there. */
const lease = fc.constantFrom(1, 1, 1, 2, 2, 3)
const revision = fc.oneof(
  {weight: 8, arbitrary: fc.integer({min: 0, max: 12})},
  {weight: 1, arbitrary: fc.integer({min: 13, max: 60})},
)

/** Absent in most messages: with every option at once, most answers would be empty or refused. */
const seldom = <T>(arbitrary: fc.Arbitrary<T>, oneIn = 5): fc.Arbitrary<T | undefined> =>
  fc.oneof(
    {withCrossShrink: true},
    {weight: oneIn - 1, arbitrary: fc.constant(undefined)},
    {weight: 1, arbitrary},
  )

const yes = fc.constant(true)

/** A message of `always` and of what of `options` is there. */
const message = (
  always: fc.Arbitrary<Message>,
  options: Record<string, fc.Arbitrary<unknown>>,
): fc.Arbitrary<Message> =>
  fc.tuple(always, fc.record(options)).map(([fixed, chosen]) => ({
    ...fixed,
    ...Object.fromEntries(Object.entries(chosen).filter(([, option]) => option !== undefined)),
  }))

const range = message(span, {
  limit: seldom(fc.integer({min: 0, max: 3}), 3),
  revision: seldom(revision),
  sort_order: seldom(fc.constantFrom('Ascend', 'Descend'), 2),
  sort_target: seldom(fc.constantFrom('Version', 'Create', 'Mod', 'Value'), 2),
  serializable: seldom(yes),
  keys_only: seldom(yes),
  count_only: seldom(yes),
  min_mod_revision: seldom(revision, 8),
  max_mod_revision: seldom(revision, 8),
  min_create_revision: seldom(revision, 8),
  max_create_revision: seldom(revision, 8),
})

/** As it should be, with each option; or with the value that must not be there, or with both. */
const plainPut = message(
  fc.record({key: anyKey, value}).map((fields): Message => fields),
  {lease: seldom(lease, 4), prev_kv: seldom(yes, 3), ignore_lease: seldom(yes, 10)},
)
const put: fc.Arbitrary<Message> = fc.oneof(
  {weight: 12, arbitrary: plainPut},
  {weight: 1, arbitrary: fc.record({key, ignore_value: yes})},
  {weight: 1, arbitrary: fc.record({key, ignore_value: yes, lease, prev_kv: yes})},
  {weight: 1, arbitrary: fc.record({key, ignore_value: yes, ignore_lease: yes})},
  {weight: 1, arbitrary: plainPut.map((fields) => ({...fields, ignore_value: true}))},
)

const deleteRange = message(span, {prev_kv: seldom(yes, 2)})

const small = fc.integer({min: 0, max: 3})
const revisionOrNone = fc.oneof(fc.constant('none'), revision)
/** A target with what it is compared with, or with nothing, which etcd takes for 0. */
const compared: fc.Arbitrary<Message> = fc.oneof(
  fc.record({target: fc.constant('Version'), version: small}),
  fc.record({target: fc.constant('Create'), create_revision: revisionOrNone}),
  fc.record({target: fc.constant('Mod'), mod_revision: revisionOrNone}),
  fc.record({target: fc.constant('Value'), value}),
  fc.record({target: fc.constant('Lease'), lease: fc.oneof(fc.constant('none'), lease)}),
  fc.record({target: fc.constantFrom('Version', 'Create', 'Mod', 'Value', 'Lease')}),
)
const compare = fc
  .tuple(span, compared, fc.constantFrom('Equal', 'Greater', 'Less', 'NotEqual'))
  .map(([where, what, result]): Message => ({...where, ...what, result}))

/**
 * etcd 3.5 itself ends in a panic when one transaction deletes from a key on and puts what it deletes with its old value or lease:
 * it does not see that both are about one key.
 */
const endsEtcd = (txn: Message): boolean => {
  const text = JSON.stringify(txn)
  return text.includes('"ignore_') && /"request_delete_range":\{[^}]*"range_end":"\\u0000"/.test(text)
}

const {txn} = fc.letrec<{txn: Message; inner: Message}>((tie) => {
  const inner = fc.oneof(
    {weight: 4, arbitrary: range.map((request_range): Message => ({request_range}))},
    {weight: 5, arbitrary: put.map((request_put): Message => ({request_put}))},
    {weight: 3, arbitrary: deleteRange.map((request_delete_range): Message => ({request_delete_range}))},
    {weight: 1, arbitrary: fc.record({request_txn: tie('txn')})},
  )
  const some = fc.array(inner, {maxLength: 3})
  const whole = fc.record({compare: fc.array(compare, {maxLength: 2}), success: some, failure: some})
  return {inner, txn: whole.map((fields): Message => fields).filter((made) => !endsEtcd(made))}
})

/** Far from running out in a sequence's time, but for the last, which is refused. */
const ttlS = fc.oneof(
  {weight: 12, arbitrary: fc.constantFrom(600, 1000, 9_000_000_000)},
  {weight: 1, arbitrary: fc.constant(9_000_000_001)},
)
const grant = fc
  .record({
    TTL: ttlS,
    ID: fc.oneof({weight: 12, arbitrary: lease}, {weight: 1, arbitrary: fc.constant('none')}),
  })
  .map((fields): Message => fields)
const ofLease = fc.record({ID: lease}).map((fields): Message => fields)

const watch = message(span, {
  start_revision: seldom(revision, 2),
  progress_notify: seldom(yes),
  filters: seldom(fc.subarray(['Noput', 'Nodelete'], {minLength: 1}), 3),
  prev_kv: seldom(yes, 2),
  watch_id: seldom(fc.integer({min: 1, max: 3}), 4),
  fragment: seldom(yes),
})

const sends = (
  rpc: Exclude<Operation['rpc'], 'watch' | 'cancel' | 'expire'>,
  request: fc.Arbitrary<Message>,
) => request.map((sent): Operation => ({rpc, request: sent}))

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {weight: 200, arbitrary: sends('put', put)},
  {weight: 120, arbitrary: sends('range', range)},
  {weight: 60, arbitrary: sends('deleteRange', deleteRange)},
  {weight: 120, arbitrary: sends('txn', txn)},
  {weight: 100, arbitrary: sends('grant', grant)},
  {weight: 30, arbitrary: sends('revoke', ofLease)},
  {weight: 20, arbitrary: sends('keepAlive', ofLease)},
  {weight: 30, arbitrary: sends('timeToLive', message(ofLease, {keys: seldom(yes, 2)}))},
  {weight: 10, arbitrary: sends('leases', fc.constant({}))},
  {
    weight: 30,
    arbitrary: fc
      .record({stream: fc.constantFrom(0, 1), request: watch})
      .map((fields): Operation => ({rpc: 'watch', ...fields})),
  },
  {weight: 10, arbitrary: fc.nat({max: 3}).map((nth): Operation => ({rpc: 'cancel', nth}))},
  // Each takes longer than its TTL of 2 s: about one sequence in forty has one.
  {weight: 1, arbitrary: lease.map((chosen): Operation => ({rpc: 'expire', lease: chosen}))},
)

/** Up to 40 operations; it shrinks to few and simple ones. */
export const sequences: fc.Arbitrary<Operation[]> = fc.array(operation, {
  minLength: 1,
  maxLength: longest,
  size: 'max',
})
