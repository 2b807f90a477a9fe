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
import {type Dequeue, type Enqueue, LeaseGone, type QueueKeys, markKeyOf} from '../core/ports.ts'
import {type BesideMark, type QueueView, besideMark} from '../core/queue.ts'
import {type Ticket, type TicketAhead, markValue, readTicket} from '../core/ticket.ts'

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

/** All keys that begin with a prefix. */
export const prefixRange = (prefix: string): {key: Buffer; range_end: Buffer} => ({
  key: bytes(prefix),
  range_end: prefixEnd(prefix),
})

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

const hasValue = (key: string, value: string): ICompare => ({
  key: bytes(key),
  target: 'Value',
  result: 'Equal',
  value: bytes(value),
})

const read = (key: string): IRangeRequest => ({key: bytes(key)})

/** `Descend` and a bound give the ticket just ahead of ours, `Ascend` without one the first of all. */
const oneOf = (prefix: string, order: 'Ascend' | 'Descend', before?: Revision): IRangeRequest => ({
  ...prefixRange(prefix),
  sort_target: 'Create',
  sort_order: order,
  limit: 1,
  ...(before !== undefined && {max_create_revision: (before - 1n).toString()}),
})

/** All of a queue, as who is not exclusive has to know it. */
const allOf = (prefix: string): IRangeRequest => ({...oneOf(prefix, 'Ascend'), limit: 0})

const isExclusive = ({mode}: QueueKeys): boolean => mode === undefined || mode.kind === 'exclusive'

const range = (request: IRangeRequest): IRequestOp => ({request_range: request})

const put = (key: string, value: string | Uint8Array, lease?: LeaseId): IRequestOp => ({
  request_put: {
    key: bytes(key),
    value: Buffer.from(value),
    ...(lease !== undefined && {lease: lease.toString()}),
  },
})

const remove = (key: string): IRequestOp => ({request_delete_range: {key: bytes(key)}})

/** Go's layout. */
const ticketKey = ({queuePrefix}: QueueKeys, lease: LeaseId): string => queuePrefix + leaseHex(lease)

const optional = <Item>(key: string | undefined, make: (key: string) => Item): Item[] =>
  key === undefined ? [] : [make(key)]

/**
 * Puts tickets. Nobody in any queue: into each, the mark with it, and the answer tells whether one was there. Somebody in one:
 * a waiter lines up in the first, unless an earlier try of this request already put its ticket.
 */
export function enqueueRequest({queues, lease, value, beside, onlyIfNobody}: Enqueue): ITxnRequest {
  const [first] = queues
  const key = ticketKey(first, lease)
  const putBeside = beside === undefined ? [] : [put(beside.key, beside.value, lease)]
  const lineUp: IRequestOp = {
    request_txn: {compare: [isMissing(key)], success: [put(key, value, lease), ...putBeside]},
  }
  const owns = queues.map((queue) => range(read(ticketKey(queue, lease))))
  return {
    compare: queues.map(({queuePrefix}) => isEmpty(queuePrefix)),
    success: [
      ...queues.flatMap((queue) => [
        put(ticketKey(queue, lease), value, lease),
        ...optional(markKeyOf(queue, lease), (mark) => put(mark, markValue(lease))),
      ]),
      ...putBeside,
      ...owns,
      ...queues.flatMap(readMarks),
    ],
    failure: onlyIfNobody
      ? [...owns, ...queues.map(({queuePrefix}) => range(oneOf(queuePrefix, 'Ascend')))]
      : [
          lineUp,
          ...owns,
          range(
            isExclusive(first)
              ? {...oneOf(first.queuePrefix, 'Descend'), limit: 2}
              : allOf(first.queuePrefix),
          ),
          ...readMarks(first),
        ],
  }
}

/** The mark of an exclusive hold, and the keys of those of holds beside others. */
function readMarks({markKey, besideMarks}: QueueKeys): IRequestOp[] {
  return [
    ...optional(markKey, (mark) => range(read(mark))),
    ...optional(besideMarks, (prefix) => range({...allOf(prefix), keys_only: true})),
  ]
}

/**
 * What the answer to `enqueueRequest` shows; or the tickets of an earlier try that were found, those of the first queues, so
 * that we must look.
 *
 * @throws LeaseGone if one of these was taken away, and a later one is there
 */
export function enqueueViews(
  {queues, lease, onlyIfNobody}: Enqueue,
  answer: ITxnResponse,
): {views: QueueView[]} | {repeated: Ticket[]} {
  const ranges = rangesOf(answer)
  const revision = BigInt(answer.header.revision)
  const owns = ranges.splice(0, queues.length).map((own) => ticketOf(own.kvs[0], lease))
  if (answer.succeeded) {
    const view = (queue: QueueKeys, own: Ticket | undefined): QueueView => ({
      ...(own && {own}),
      ...(!isExclusive(queue) && {others: []}),
      ...takeMarks(queue, ranges),
      revision,
    })
    return {views: queues.map((queue, index) => view(queue, owns[index]))}
  }
  const lineUp = answer.responses.find((response) => response.response_txn)?.response_txn
  const [first] = queues
  const [own] = owns
  const isNew = lineUp?.succeeded === true
  const firstMissing = isNew ? 0 : owns.indexOf(undefined)
  if (firstMissing >= 0 && owns.some((one, index) => one !== undefined && index > firstMissing))
    throw new LeaseGone()
  if (!isNew && own !== undefined) return {repeated: owns.filter((one) => one !== undefined)}
  const others = ranges.flatMap(({kvs}) => kvs).map(aheadOf)
  if (onlyIfNobody) return {views: [{...(others[0] && {ahead: others[0]}), revision}]}
  const tickets = ranges.shift()?.kvs ?? []
  return {views: [{...viewOf(first, own, tickets), ...takeMarks(first, ranges), revision}]}
}

/** Our ticket, and those that matter to it of these, the nearest first if we are exclusive. */
function viewOf(
  queue: QueueKeys,
  own: Ticket | undefined,
  tickets: readonly IKeyValue[],
): Omit<QueueView, 'revision'> {
  const others = tickets.map(aheadOf).filter(({key}) => key !== own?.key)
  if (!isExclusive(queue)) return {...(own && {own}), others}
  return {...(own && {own}), ...(others[0] && {ahead: others[0]})}
}

/** What `readMarks` has read; takes it from the beginning of the answers. */
function takeMarks(
  {markKey, besideMarks}: QueueKeys,
  ranges: IRangeResponse[],
): Pick<QueueView, 'markRevision' | 'besideMarks'> {
  return {
    ...(markKey !== undefined && markOf(ranges.shift())),
    ...(besideMarks !== undefined && besideMarksOf(ranges.shift())),
  }
}

/** Reads the own ticket, the one just ahead of it, and the mark, in one linearizable view. */
export function lookRequest(ticket: Ticket, keys: QueueKeys): ITxnRequest {
  return {
    success: [
      range(read(ticket.key)),
      range(
        isExclusive(keys)
          ? oneOf(keys.queuePrefix, 'Descend', ticket.createRevision)
          : allOf(keys.queuePrefix),
      ),
      ...readMarks(keys),
    ],
  }
}

/** What the answer to `lookRequest` shows. A ticket that was deleted and put anew is not ours. */
export function lookView(ticket: Ticket, keys: QueueKeys, answer: ITxnResponse): QueueView {
  const [own, tickets, ...marks] = rangesOf(answer)
  const seen = ticketOf(own?.kvs[0], ticket.lease)
  return {
    ...viewOf(keys, seen?.createRevision === ticket.createRevision ? seen : undefined, tickets?.kvs ?? []),
    ...takeMarks(keys, marks),
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

/** Puts the marks, and a new value into the tickets, if these are still there. */
export function declareHoldRequest(
  holds: readonly {ticket: Ticket; markKey: string}[],
  value: string | undefined,
): ITxnRequest {
  return {
    compare: holds.map(({ticket}) => isThere(ticket)),
    success: holds.flatMap(({ticket: {key, lease}, markKey}) => [
      put(markKey, markValue(lease)),
      ...(value === undefined ? [] : [put(key, value, lease)]),
    ]),
  }
}

/**
 * Puts a new value into a ticket that is there.
 *
 * @param repeated an earlier try may have: then observers are not told twice
 */
export function proclaimRequest(ticket: Ticket, value: Uint8Array, repeated: boolean): ITxnRequest {
  const {key, lease} = ticket
  const isNew: ICompare = {...isThere(ticket), target: 'Value', result: 'NotEqual', value: Buffer.from(value)}
  delete isNew.create_revision
  const anew: IRequestOp = repeated
    ? {request_txn: {compare: [isNew], success: [put(key, value, lease)]}}
    : put(key, value, lease)
  return {compare: [isThere(ticket)], success: [anew]}
}

/** Removes each ticket and its mark; or only the mark, if the ticket is gone and the mark still speaks of it. */
export function dequeueRequest(holds: readonly Dequeue[]): ITxnRequest {
  const removeOwnMark = (mark: string, {lease}: Ticket): IRequestOp => ({
    request_txn: {compare: [hasValue(mark, markValue(lease))], success: [remove(mark)]},
  })
  return {
    success: holds.map(({ticket, markKey, settled = []}) => ({
      request_txn: {
        compare: [isThere(ticket)],
        success: [remove(ticket.key), ...optional(markKey, remove), ...settled.map(remove)],
        failure: optional(markKey, (mark) => removeOwnMark(mark, ticket)),
      },
    })),
  }
}

/** Whether the answer to `dequeueRequest` says that every ticket was there. */
export function allRemoved({responses}: ITxnResponse): boolean {
  return responses.every(({response_txn}) => response_txn?.succeeded === true)
}

/** Removes the marks that this lease's tickets made: `version` counts how often a key was put since it was created. */
export function unmarkRequest(lease: LeaseId, markKeys: readonly string[]): ITxnRequest {
  return {
    success: markKeys.map((mark) => ({
      request_txn: {
        compare: [
          hasValue(mark, markValue(lease)),
          {key: bytes(mark), target: 'Version', result: 'Equal', version: 1},
        ],
        success: [remove(mark)],
      },
    })),
  }
}

/** Counts the tickets of a queue, as far as the member that is asked knows. */
export function countRequest(queuePrefix: string): IRangeRequest {
  return {
    ...prefixRange(queuePrefix),
    count_only: true,
    serializable: true,
  }
}

/** A linearizable read of tickets. */
export function ticketsRequest(tickets: readonly Ticket[]): ITxnRequest {
  return {success: tickets.map(({key}) => range(read(key)))}
}

/** The create revisions that the answer to `ticketsRequest` shows. */
export function createRevisions(answer: ITxnResponse): (Revision | undefined)[] {
  return rangesOf(answer).map(({kvs: [kv]}) => (kv === undefined ? undefined : BigInt(kv.create_revision)))
}

function rangesOf(answer: ITxnResponse): IRangeResponse[] {
  return answer.responses.flatMap((response) => (response.response_range ? [response.response_range] : []))
}

function ticketOf(kv: IKeyValue | undefined, lease: LeaseId): Ticket | undefined {
  return kv && {key: kv.key.toString('utf8'), lease, createRevision: BigInt(kv.create_revision)}
}

function aheadOf(kv: IKeyValue): TicketAhead {
  const says = readTicket(kv.value.toString('utf8'))
  return {key: kv.key.toString('utf8'), createRevision: BigInt(kv.create_revision), ...says}
}

function besideMarksOf(marks: IRangeResponse | undefined): {besideMarks?: BesideMark[]} {
  const keys = (marks?.kvs ?? []).map(({key}) => key.toString('utf8'))
  return keys.length === 0 ? {} : {besideMarks: keys.map(besideMark)}
}

function markOf(mark: IRangeResponse | undefined): {markRevision?: Revision} {
  const kv = mark?.kvs[0]
  return kv ? {markRevision: BigInt(kv.create_revision)} : {}
}
