/**
 * etcd through its own JSON gateway: a second way in that shares no code with the client under test, and costs
 * no process as etcdctl does. int64 numbers are decimal strings there, keys and values base64. At a `unix:` URL the same of the
 * local engine, over gRPC.
 */
import {request, type IncomingMessage} from 'node:http'
import {callEngine, engineAnswers, isEngine} from './engineGateway.ts'
import {nowMs} from './wait.ts'

const post = (url: string, path: string, body: unknown, signal: AbortSignal): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const sending = request(new URL(path, url), {method: 'POST', agent: false, signal}, resolve)
    sending.on('error', reject)
    sending.end(JSON.stringify(body))
  })

/** The lines of an answer that goes on and on. */
async function* lines(answer: IncomingMessage): AsyncGenerator<string> {
  let rest = ''
  answer.setEncoding('utf8')
  for await (const part of answer) {
    const found = (rest + (part as string)).split('\n')
    rest = found.pop() ?? ''
    yield* found
  }
}

const text = async (answer: IncomingMessage): Promise<string> => {
  let all = ''
  answer.setEncoding('utf8')
  for await (const part of answer) all += part as string
  return all
}

const exchange = async (url: string, path: string, body: unknown, signal: AbortSignal) => {
  const answer = await post(url, path, body, signal)
  return {answer, content: await text(answer)}
}

/** One call. Throws when etcd does not answer within `withinMs`, or answers with an error. */
export const call = async <T>(url: string, path: string, body: unknown, withinMs = 3000): Promise<T> => {
  if (isEngine(url)) return (await callEngine(url, path, body, withinMs)) as T
  const limit = AbortSignal.timeout(withinMs)
  const {answer, content} = await exchange(url, path, body, limit).catch((error: unknown) => {
    throw limit.aborted ? new Error(`etcd at ${url} did not answer ${path} within ${withinMs} ms`) : error
  })
  if (answer.statusCode !== 200) throw new Error(`etcd at ${url}, ${path}: ${answer.statusCode} ${content}`)
  return JSON.parse(content) as T
}

/** What one call answers that goes on and on. Ends when etcd goes away, or throws, as it does when `signal` aborts. */
export async function* answers<T>(
  url: string,
  path: string,
  body: unknown,
  signal: AbortSignal,
): AsyncGenerator<T> {
  if (isEngine(url)) return yield* engineAnswers(url, path, body, signal) as AsyncGenerator<T, void>
  for await (const line of lines(await post(url, path, body, signal))) yield JSON.parse(line) as T
}

export const encode = (plain: string): string => Buffer.from(plain).toString('base64')
export const decode = (coded: string | undefined): string => Buffer.from(coded ?? '', 'base64').toString()
/** The end of the range of all keys that begin with `prefix`. Enough for the ASCII prefixes of tests. */
const rangeEnd = (prefix: string): string =>
  prefix === ''
    ? encode('\0')
    : encode(prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1))

/** A lease id as etcdctl prints it and as keys carry it. */
const leaseHex = (decimal: string): string => BigInt(decimal).toString(16)
export const leaseDecimal = (hex: string): string => BigInt(`0x${hex}`).toString()

export interface Key {
  readonly key: string
  readonly value: string
  readonly createRevision: string
  readonly modRevision: string
  /** Hex; '0' for none. */
  readonly lease: string
}

interface RawKey {
  key?: string
  value?: string
  create_revision?: string
  mod_revision?: string
  lease?: string
}

const toKey = (raw: RawKey): Key => ({
  key: decode(raw.key),
  value: decode(raw.value),
  createRevision: raw.create_revision ?? '0',
  modRevision: raw.mod_revision ?? '0',
  lease: leaseHex(raw.lease ?? '0'),
})

const prefixOf = (prefix: string): {key: string; range_end: string} => ({
  key: prefix === '' ? encode('\0') : encode(prefix),
  range_end: rangeEnd(prefix),
})

/** All keys that begin with `prefix`, by creation: the first ticket of a queue comes first. */
export const keysUnder = async (url: string, prefix: string): Promise<Key[]> => {
  const order = {sort_order: 'ASCEND', sort_target: 'CREATE'}
  const answer = await call<{kvs?: RawKey[]}>(url, '/v3/kv/range', {...prefixOf(prefix), ...order})
  return (answer.kvs ?? []).map(toKey)
}

export const put = async (url: string, key: string, value: string, lease = '0'): Promise<void> => {
  await call(url, '/v3/kv/put', {key: encode(key), value: encode(value), lease: leaseDecimal(lease)})
}

export const deleteKey = async (url: string, key: string): Promise<void> => {
  await call(url, '/v3/kv/deleterange', {key: encode(key)})
}

/** Lease ids, hex. */
export const leases = async (url: string): Promise<string[]> => {
  const answer = await call<{leases?: {ID: string}[]}>(url, '/v3/lease/leases', {})
  return (answer.leases ?? []).map(({ID}) => leaseHex(ID))
}

/** Returns the new lease's id, hex. */
export const grant = async (url: string, ttlSeconds: number): Promise<string> =>
  leaseHex((await call<{ID: string}>(url, '/v3/lease/grant', {TTL: String(ttlSeconds)})).ID)

export const revoke = async (url: string, lease: string): Promise<void> => {
  await call(url, '/v3/lease/revoke', {ID: leaseDecimal(lease)})
}

/** One keep-alive. Returns the TTL that etcd answers, 0 when the lease is gone. */
export const keepAlive = async (url: string, lease: string): Promise<number> => {
  const answer = await call<{result?: {TTL?: string}}>(url, '/v3/lease/keepalive', {ID: leaseDecimal(lease)})
  return Number(answer.result?.TTL ?? 0)
}

export interface LeaseState {
  /** Whole seconds, rounded down; -1 when the lease is gone. */
  readonly remainingS: number
  readonly grantedS: number
  readonly keys: string[]
}

export const timeToLive = async (url: string, lease: string, withinMs = 3000): Promise<LeaseState> => {
  const answer = await call<{TTL?: string; grantedTTL?: string; keys?: string[]}>(
    url,
    '/v3/lease/timetolive',
    {ID: leaseDecimal(lease), keys: true},
    withinMs,
  )
  return {
    remainingS: Number(answer.TTL ?? 0),
    grantedS: Number(answer.grantedTTL ?? 0),
    keys: (answer.keys ?? []).map(decode),
  }
}

export interface MemberStatus {
  readonly member: string
  /** '0' while there is no leader. */
  readonly leader: string
  readonly term: string
  readonly revision: string
}

/** What this one member believes; a member cut off may still name an old leader. */
export const status = async (url: string, withinMs = 1000): Promise<MemberStatus> => {
  const answer = await call<{
    header: {member_id: string; revision?: string; raft_term?: string}
    leader?: string
    raftTerm?: string
  }>(url, '/v3/maintenance/status', {}, withinMs)
  const {member_id: member, revision = '0', raft_term} = answer.header
  return {member, revision, leader: answer.leader ?? '0', term: answer.raftTerm ?? raft_term ?? '0'}
}

/** Makes all revisions before `revision` unreadable, and watches that ask for them fail. */
export const compact = async (url: string, revision: string): Promise<void> => {
  await call(url, '/v3/kv/compaction', {revision, physical: true})
}

export interface KeyEvent extends Key {
  readonly type: 'PUT' | 'DELETE'
  /** When it arrived here: after etcd applied it, by the time of one local hop. */
  readonly atMs: number
}

interface WatchLine {
  result?: {created?: boolean; canceled?: boolean; events?: {type?: 'DELETE'; kv?: RawKey}[]}
  error?: unknown
}

/**
 * Follows a prefix until `signal` aborts, etcd goes away, or the watch is refused; resolves in each case, without
 * an error: its caller decides whether to watch again. `onCreated` says that from now on nothing is missed.
 */
export const watchPrefix = async (
  url: string,
  prefix: string,
  startRevision: string,
  handlers: {onCreated: () => void; onEvent: (event: KeyEvent, revision: bigint) => void},
  signal: AbortSignal,
): Promise<void> => {
  try {
    const create = {create_request: {...prefixOf(prefix), start_revision: startRevision}}
    for await (const {result} of answers<WatchLine>(url, '/v3/watch', create, signal)) {
      const atMs = nowMs()
      if (!result || result.canceled) return
      if (result.created) handlers.onCreated()
      for (const {type = 'PUT', kv} of result.events ?? []) {
        const key = toKey(kv ?? {})
        handlers.onEvent({...key, type, atMs}, BigInt(key.modRevision))
      }
    }
  } catch {
    // Cut off, or told to stop: both are an end of this watch.
  }
}
