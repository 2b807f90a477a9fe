import type {
  ICompare,
  IKeyValue,
  IRangeRequest,
  IRangeResponse,
  IRequestOp,
  ITxnRequest,
  ITxnResponse,
} from 'etcd3'
import {type LeaseId, type Revision, leaseHex} from '../core/identifiers.ts'
import {type Dequeue, type Enqueue} from '../core/ports.ts'
import type {QueueView} from '../core/queue.ts'
import {type Ticket, type TicketAhead, decodeHolder, markValue} from '../core/ticket.ts'

/**
 * The requests of the lock protocol and what their answers say, without any I/O. Keys and order are those of etcd's Go
 * package `client/v3/concurrency`; the mark beside the queue is ours.
 */

const bytes = (text: string): Buffer => Buffer.from(text, 'utf8')

/** The end of the range of all keys that begin with a prefix: the prefix with its last byte raised (prefixes end in `/`). */
function prefixEnd(prefix: string): Buffer {
  const end = bytes(prefix)
  end[end.length - 1] = (end[end.length - 1] ?? 0) + 1
  return end
}

const isThere = (ticket: Ticket): ICompare => ({
  key: bytes(ticket.key),
  target: 'Create',
  result: 'Equal',
  create_revision: ticket.createRevision.toString(),
})

const isMissing = (key: string): ICompare => ({
  key: bytes(key),
  target: 'Create',
  result: 'Equal',
  create_revision: 0,
})

/** True only if there is no key with the prefix: etcd compares every key of the range, and a missing one as revision 0. */
const isEmpty = (prefix: string): ICompare => ({...isMissing(prefix), range_end: prefixEnd(prefix)})

const read = (key: string): IRangeRequest => ({key: bytes(key)})

/** `Descend` and a bound give the ticket just ahead of ours, `Ascend` without one the first of all. */
const oneOf = (prefix: string, order: 'Ascend' | 'Descend', before?: Revision): IRangeRequest => ({
  key: bytes(prefix),
  range_end: prefixEnd(prefix),
  sort_target: 'Create',
  sort_order: order,
  limit: 1,
  ...(before !== undefined && {max_create_revision: (before - 1n).toString()}),
})

const range = (request: IRangeRequest): IRequestOp => ({request_range: request})

const put = (key: string, value: string, lease?: LeaseId): IRequestOp => ({
  request_put: {key: bytes(key), value: bytes(value), ...(lease !== undefined && {lease: lease.toString()})},
})

const remove = (key: string): IRequestOp => ({request_delete_range: {key: bytes(key)}})

const optional = <Item>(key: string | undefined, make: (key: string) => Item): Item[] =>
  key === undefined ? [] : [make(key)]

/**
 * Puts a ticket. Nobody in the queue: the mark goes with it, and the answer tells whether one was there. Somebody in it:
 * a waiter lines up, unless an earlier try of this request already did.
 */
export function enqueueRequest({queuePrefix, lease, value, markKey, onlyIfNobody}: Enqueue): ITxnRequest {
  const key = queuePrefix + leaseHex(lease)
  const lineUp: IRequestOp = {request_txn: {compare: [isMissing(key)], success: [put(key, value, lease)]}}
  return {
    compare: [isEmpty(queuePrefix)],
    success: [
      put(key, value, lease),
      ...optional(markKey, (mark) => put(mark, markValue(lease))),
      range(read(key)),
      ...optional(markKey, (mark) => range(read(mark))),
    ],
    failure: [
      ...(onlyIfNobody ? [] : [lineUp]),
      range(read(key)),
      range(onlyIfNobody ? oneOf(queuePrefix, 'Ascend') : {...oneOf(queuePrefix, 'Descend'), limit: 2}),
      ...optional(markKey, (mark) => range(read(mark))),
    ],
  }
}

/** What the answer to `enqueueRequest` shows; undefined if a ticket of an earlier try was found, so that we must look. */
export function enqueueView(request: Enqueue, answer: ITxnResponse): QueueView | {repeated: Ticket} {
  const ranges = rangesOf(answer)
  const own = ticketOf(ranges[0]?.kvs[0], request.lease)
  const revision = BigInt(answer.header.revision)
  if (answer.succeeded) return {...(own && {own}), ...markOf(ranges[1]), revision}
  const others = (ranges[1]?.kvs ?? []).map(aheadOf).filter((other) => other.key !== own?.key)
  const lineUp = answer.responses.find((response) => response.response_txn)?.response_txn
  if (own !== undefined && lineUp?.succeeded !== true) return {repeated: own}
  return {...(own && {own}), ...(others[0] && {ahead: others[0]}), ...markOf(ranges[2]), revision}
}

/** Reads the own ticket, the one just ahead of it, and the mark, in one linearizable view. */
export function lookRequest(ticket: Ticket, keys: {queuePrefix: string; markKey?: string}): ITxnRequest {
  return {
    success: [
      range(read(ticket.key)),
      range(oneOf(keys.queuePrefix, 'Descend', ticket.createRevision)),
      ...optional(keys.markKey, (mark) => range(read(mark))),
    ],
  }
}

/** What the answer to `lookRequest` shows. A ticket that was deleted and put anew is not ours. */
export function lookView(ticket: Ticket, answer: ITxnResponse): QueueView {
  const [own, ahead, mark] = rangesOf(answer)
  const seen = ticketOf(own?.kvs[0], ticket.lease)
  const first = ahead?.kvs[0]
  return {
    ...(seen?.createRevision === ticket.createRevision && {own: seen}),
    ...(first && {ahead: aheadOf(first)}),
    ...markOf(mark),
    revision: BigInt(answer.header.revision),
  }
}

/** Reads the keys ahead of a ticket (`count` would ignore the bound) and the first ticket of all. */
export function peekRequest(ticket: Ticket, queuePrefix: string): ITxnRequest {
  const first = oneOf(queuePrefix, 'Ascend', ticket.createRevision)
  return {success: [range({...first, limit: 0, keys_only: true}), range(first)]}
}

/** What the answer to `peekRequest` shows. */
export function peekView(answer: ITxnResponse): {ahead: number; first?: TicketAhead} {
  const [keys, first] = rangesOf(answer)
  const kv = first?.kvs[0]
  return {ahead: keys?.kvs.length ?? 0, ...(kv && {first: aheadOf(kv)})}
}

/** Puts the mark, and a new value into the ticket, if that is still there. */
export function declareHoldRequest(
  ticket: Ticket,
  {markKey, value}: {markKey: string; value: string},
): ITxnRequest {
  return {
    compare: [isThere(ticket)],
    success: [put(markKey, markValue(ticket.lease)), put(ticket.key, value, ticket.lease)],
  }
}

/** Removes ticket and mark; or only the mark, if the ticket is gone and the mark still speaks of it. */
export function dequeueRequest({ticket, markKey}: Dequeue): ITxnRequest {
  const removeOwnMark = (mark: string): IRequestOp => ({
    request_txn: {
      compare: [{key: bytes(mark), target: 'Value', result: 'Equal', value: bytes(markValue(ticket.lease))}],
      success: [remove(mark)],
    },
  })
  return {
    compare: [isThere(ticket)],
    success: [remove(ticket.key), ...optional(markKey, remove)],
    failure: optional(markKey, removeOwnMark),
  }
}

/** Removes a mark that this lease's ticket made: `version` counts how often a key was put since it was created. */
export function unmarkRequest(lease: LeaseId, markKey: string): ITxnRequest {
  const key = bytes(markKey)
  return {
    compare: [
      {key, target: 'Value', result: 'Equal', value: bytes(markValue(lease))},
      {key, target: 'Version', result: 'Equal', version: 1},
    ],
    success: [remove(markKey)],
  }
}

/** A linearizable read of one ticket. */
export function ticketRequest(ticket: Ticket): IRangeRequest {
  return read(ticket.key)
}

function rangesOf(answer: ITxnResponse): IRangeResponse[] {
  return answer.responses.flatMap((response) => (response.response_range ? [response.response_range] : []))
}

function ticketOf(kv: IKeyValue | undefined, lease: LeaseId): Ticket | undefined {
  return kv && {key: kv.key.toString('utf8'), lease, createRevision: BigInt(kv.create_revision)}
}

function aheadOf(kv: IKeyValue): TicketAhead {
  const holder = decodeHolder(kv.value.toString('utf8'))
  return {key: kv.key.toString('utf8'), createRevision: BigInt(kv.create_revision), ...(holder && {holder})}
}

function markOf(mark: IRangeResponse | undefined): {markRevision?: Revision} {
  const kv = mark?.kvs[0]
  return kv ? {markRevision: BigInt(kv.create_revision)} : {}
}
