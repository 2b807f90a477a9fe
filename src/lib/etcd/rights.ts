import type {IAuthRoleGetResponse, IAuthUserGetResponse, IPermission} from 'etcd3'
import {LeashError} from '../core/errors.ts'
import {type LeaseId, leaseHex} from '../core/identifiers.ts'
import {shellWord} from '../shellWord.ts'
import {prefixRange} from './requests.ts'

/** What may be done with the keys from one, inclusive, to another, exclusive. */
interface Rights {
  from: Buffer
  to: Buffer
  read: boolean
  write: boolean
}

/** A request that etcd has denied to a user, with nothing but `permission denied`. */
export interface Denied {
  request: unknown
  /** undefined: whom our client certificate names. */
  user: string | undefined
  endpoint: string
  cause: unknown
}

/** Asks etcd's `Auth` service about users and roles. */
type Ask = <Told>(method: 'userGet' | 'roleGet', about: unknown) => Promise<Told>

/**
 * The error for a denied request: it names the rights that the user lacks, or all that the request needs if that cannot be
 * found out. A user may ask etcd for its own roles, and what they allow.
 */
export async function refusal({request, user, endpoint, cause}: Denied, ask: Ask): Promise<LeashError> {
  const needed = neededRights(request)
  const {roles, granted} = await rightsOf(user, ask).catch(() => ({roles: [], granted: []}))
  const lacking = needed.map((right) => lackingOf(right, granted)).filter(({read, write}) => read || write)
  const missing = lacking.length > 0 ? lacking : needed
  const who = user === undefined ? 'whom our client certificate names' : `user ${JSON.stringify(user)}`
  const subject = `etcd at ${endpoint} denies ${who}`
  if (missing.length === 0) {
    const wayOut = 'give a role of that user readwrite on all keys of the lock'
    return new LeashError('permission', `${subject} what the lock needs`, wayOut, {cause})
  }
  const [role = 'ROLE', another] = roles
  const name = another === undefined ? shellWord(role) : 'ROLE'
  // Readwrite in any case: a grant replaces what the role could do with the same keys before.
  const grants = missing.map(
    (right) => `etcdctl role grant-permission ${name} readwrite ${keysOf(right, shellWord, ' --prefix')}`,
  )
  const message = `${subject} ${missing.map(describe).join(', and ')}`
  return new LeashError('permission', message, `grant it: ${grants.join(' && ')}`, {cause})
}

/**
 * What a request does with which keys: a transaction, a read, or the beginning of a watch. A key in a range that the request
 * needs, too, stands for that range, and one that ends in the id of its lease for all that begin as it does: who may put one
 * ticket only could not put the next.
 */
export function neededRights(request: unknown): Rights[] {
  const found: Rights[] = []
  collect(request, found)
  const byKeys = new Map<string, Rights>()
  for (const right of found) {
    const {from, to} = found.find((other) => contains(other, right) && !contains(right, other)) ?? right
    const keys = `${from.toString('hex')} ${to.toString('hex')}`
    const {read, write} = byKeys.get(keys) ?? {read: false, write: false}
    byKeys.set(keys, {from, to, read: read || right.read, write: write || right.write})
  }
  return [...byKeys.values()]
}

/** As much of etcd's requests as speaks of keys. */
interface Keys {
  key: Buffer
  range_end?: Buffer
}
interface Request extends Partial<Keys> {
  compare?: Keys[]
  success?: Operation[]
  failure?: Operation[]
  create_request?: Keys
}
interface Put extends Keys {
  lease?: string | number
}
interface Operation {
  request_range?: Keys
  request_put?: Put
  request_delete_range?: Keys
  request_txn?: Request
}

/** etcd checks both branches of a transaction, whichever it takes. */
function collect(request: unknown, found: Rights[]): void {
  const {key, range_end, compare = [], success = [], failure = [], create_request} = request as Request
  const add = (keys: Keys | undefined, kind: 'read' | 'write'): void => {
    if (keys) found.push({...span(keys), read: kind === 'read', write: kind === 'write'})
  }
  if (key) add({key, ...(range_end && {range_end})}, 'read')
  add(create_request, 'read')
  for (const one of compare) add(one, 'read')
  for (const one of [...success, ...failure]) {
    add(one.request_range, 'read')
    add(one.request_put && ofAnyLease(one.request_put), 'write')
    add(one.request_delete_range, 'write')
    if (one.request_txn) collect(one.request_txn, found)
  }
}

/** The keys of which the next lease, whose id is another, has one, too. */
function ofAnyLease({key, lease}: Put): Keys {
  if (lease === undefined) return {key}
  const ending = leaseHex(BigInt(lease) as LeaseId)
  const text = key.toString('utf8')
  return text.endsWith(`/${ending}`) ? prefixRange(text.slice(0, -ending.length)) : {key}
}

async function rightsOf(user: string | undefined, ask: Ask): Promise<{roles: string[]; granted: Rights[]}> {
  if (user === undefined) return {roles: [], granted: []}
  const {roles} = await ask<IAuthUserGetResponse>('userGet', {name: user})
  const answers = await Promise.all(roles.map((role) => ask<IAuthRoleGetResponse>('roleGet', {role})))
  return {roles, granted: answers.flatMap(({perm}) => perm.map(toRights))}
}

function toRights({permType, ...keys}: IPermission): Rights {
  return {...span(keys), read: permType !== 'Write', write: permType !== 'Read'}
}

/** A key alone ends where the next one that is possible begins. */
function span({key, range_end}: Keys): Pick<Rights, 'from' | 'to'> {
  return {from: key, to: range_end?.length ? range_end : Buffer.concat([key, zero])}
}

const zero = Buffer.from([0])

/** An end of a single zero byte means: no end. */
const endsWithin = (one: Buffer, other: Buffer): boolean =>
  other.equals(zero) || (!one.equals(zero) && one.compare(other) <= 0)

function contains(outer: Rights, inner: Rights): boolean {
  return outer.from.compare(inner.from) <= 0 && endsWithin(inner.to, outer.to)
}

function lackingOf(right: Rights, granted: readonly Rights[]): Rights {
  const fitting = granted.filter((one) => contains(one, right))
  return {
    ...right,
    read: right.read && !fitting.some(({read}) => read),
    write: right.write && !fitting.some(({write}) => write),
  }
}

function describe(right: Rights): string {
  const {read, write} = right
  const verb = read && write ? 'read and write' : read ? 'read' : 'write'
  return `to ${verb} ${keysOf(right, (text) => text, '...')}`
}

function keysOf({from, to}: Rights, write: (text: string) => string, prefixMark: string): string {
  const isOne = to.equals(Buffer.concat([from, zero]))
  return `${write(from.toString('utf8'))}${isOne ? '' : prefixMark}`
}
