import {
  type Compare,
  type DeleteAnswer,
  type DeleteRequest,
  type Event,
  type KeyValue,
  type Operation,
  type OperationAnswer,
  type PutRequest,
  type RangeAnswer,
  type RangeRequest,
  type TxnAnswer,
  type TxnRequest,
  type WatchAnswer,
  type WatchCreateRequest,
  refusals,
} from './values.ts'

/**
 * Requests as they come out of the codecs (all fields there, int64 as decimal strings, an enumeration's number if it has no
 * name, a union's choice by its name), and answers as they go in.
 */

/** A message out of the codecs. */
export type Wire = Readonly<Record<string, unknown>>

const bytes = (message: Wire, field: string): Buffer =>
  (message[field] as Buffer | undefined) ?? Buffer.alloc(0)
const number = (message: Wire, field: string): number => Number(message[field] ?? 0)
const isSet = (message: Wire, field: string): boolean => message[field] === true
const list = (message: Wire, field: string): readonly Wire[] => (message[field] as Wire[] | undefined) ?? []

/** An int64 that is a lease. */
export const leaseIdOf = (message: Wire, field = 'ID'): bigint =>
  BigInt((message[field] as string | undefined) ?? 0)

const range = (message: Wire): {key: Buffer; rangeEnd: Buffer} => ({
  key: bytes(message, 'key'),
  rangeEnd: bytes(message, 'range_end'),
})

export function rangeRequest(message: Wire): RangeRequest {
  const {sort_order, sort_target} = message
  if (typeof sort_order !== 'string' || typeof sort_target !== 'string') throw refusals.invalidSortOption()
  return {
    ...range(message),
    limit: number(message, 'limit'),
    revision: number(message, 'revision'),
    sortOrder: sort_order as RangeRequest['sortOrder'],
    sortTarget: sort_target as RangeRequest['sortTarget'],
    keysOnly: isSet(message, 'keys_only'),
    countOnly: isSet(message, 'count_only'),
    minModRevision: number(message, 'min_mod_revision'),
    maxModRevision: number(message, 'max_mod_revision'),
    minCreateRevision: number(message, 'min_create_revision'),
    maxCreateRevision: number(message, 'max_create_revision'),
  }
}

export const putRequest = (message: Wire): PutRequest => ({
  key: bytes(message, 'key'),
  value: bytes(message, 'value'),
  lease: leaseIdOf(message, 'lease'),
  prevKv: isSet(message, 'prev_kv'),
  ignoreValue: isSet(message, 'ignore_value'),
  ignoreLease: isSet(message, 'ignore_lease'),
})

export const deleteRequest = (message: Wire): DeleteRequest => ({
  ...range(message),
  prevKv: isSet(message, 'prev_kv'),
})

export const txnRequest = (message: Wire): TxnRequest => ({
  compare: list(message, 'compare').map(compare),
  success: list(message, 'success').map(operation),
  failure: list(message, 'failure').map(operation),
})

/** The fields of the union that belong to each target; with another one, or none, etcd compares with 0 or nothing. */
function compare(message: Wire): Compare {
  const common = {...range(message), result: message['result'] as Compare['result']}
  const chosen = message['target_union']
  const field = (name: string): Wire => (chosen === name ? message : {})
  switch (message['target']) {
    case 'Create':
      return {...common, target: 'Create', operand: number(field('create_revision'), 'create_revision')}
    case 'Mod':
      return {...common, target: 'Mod', operand: number(field('mod_revision'), 'mod_revision')}
    case 'Value':
      return {...common, target: 'Value', operand: bytes(field('value'), 'value')}
    case 'Lease':
      return {...common, target: 'Lease', operand: leaseIdOf(field('lease'), 'lease')}
    default:
      return {...common, target: 'Version', operand: number(field('version'), 'version')}
  }
}

function operation(message: Wire): Operation {
  const inner = message[message['request'] as string] as Wire
  switch (message['request']) {
    case 'request_range':
      return {is: 'range', request: rangeRequest(inner)}
    case 'request_put':
      return {is: 'put', request: putRequest(inner)}
    case 'request_delete_range':
      return {is: 'delete', request: deleteRequest(inner)}
    case 'request_txn':
      return {is: 'txn', request: txnRequest(inner)}
    default:
      return {is: 'nothing'}
  }
}

export const watchCreateRequest = (message: Wire): WatchCreateRequest => ({
  ...range(message),
  startRevision: number(message, 'start_revision'),
  filters: (message['filters'] as WatchCreateRequest['filters'] | undefined) ?? [],
  prevKv: isSet(message, 'prev_kv'),
  watchId: number(message, 'watch_id'),
  fragment: isSet(message, 'fragment'),
})

const keyValue = (kv: KeyValue): Wire => ({
  key: kv.key,
  value: kv.value,
  create_revision: kv.createRevision,
  mod_revision: kv.modRevision,
  version: kv.version,
  lease: kv.lease.toString(),
})

const event = ({type, kv, prevKv}: Event): Wire => ({
  type: type === 'put' ? 'Put' : 'Delete',
  kv: keyValue(kv),
  ...(prevKv !== undefined && {prev_kv: keyValue(prevKv)}),
})

export const rangeAnswer = ({kvs, more, count}: RangeAnswer): Wire => ({kvs: kvs.map(keyValue), more, count})

export const putAnswer = ({prevKv}: {prevKv?: KeyValue | undefined}): Wire =>
  prevKv === undefined ? {} : {prev_kv: keyValue(prevKv)}

export const deleteAnswer = ({deleted, prevKvs}: DeleteAnswer): Wire => ({
  deleted,
  prev_kvs: prevKvs.map(keyValue),
})

export const txnAnswer = ({succeeded, responses}: TxnAnswer): Wire => ({
  succeeded,
  responses: responses.map(operationAnswer),
})

/** The header of an answer within a transaction has a revision only. */
function operationAnswer(one: OperationAnswer): Wire {
  const header = {revision: one.answer.revision}
  switch (one.is) {
    case 'range':
      return {response_range: {header, ...rangeAnswer(one.answer)}}
    case 'put':
      return {response_put: {header, ...putAnswer(one.answer)}}
    case 'delete':
      return {response_delete_range: {header, ...deleteAnswer(one.answer)}}
    case 'txn':
      return {response_txn: {header, ...txnAnswer(one.answer)}}
  }
}

export const watchAnswer = (answer: WatchAnswer): Wire => ({
  watch_id: answer.watchId,
  created: answer.created ?? false,
  canceled: answer.canceled ?? false,
  compact_revision: answer.compactRevision ?? 0,
  cancel_reason: answer.cancelReason ?? '',
  fragment: answer.fragment ?? false,
  events: answer.events.map(event),
})
