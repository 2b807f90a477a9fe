import type {IEvent, IKeyValue, IRangeRequest, IRangeResponse} from 'etcd3'
import type {QueueReading, SeenTicket, TicketEvent} from '../core/observation.ts'
import {prefixRange} from './requests.ts'

/** The requests of an observer and what their answers say, without any I/O. */

/** Reads all tickets of a queue, or the first one. */
export function queueRequest(queuePrefix: string, part: 'all' | 'first'): IRangeRequest {
  const first: IRangeRequest = {sort_target: 'Create', sort_order: 'Ascend', limit: 1}
  return {...prefixRange(queuePrefix), ...(part === 'first' && first)}
}

/** What the answer to `queueRequest` shows. */
export function queueReading({kvs, header}: IRangeResponse, sentAtMs: number): QueueReading {
  return {tickets: kvs.map(seenTicket), revision: BigInt(header.revision), sentAtMs}
}

/** What an event of a watch says of a queue. */
export function ticketEvent({type, kv}: IEvent): TicketEvent {
  return type === 'Delete' ? {is: 'deleted', key: keyOf(kv)} : {is: 'put', ticket: seenTicket(kv)}
}

function seenTicket(kv: IKeyValue): SeenTicket {
  return {
    key: keyOf(kv),
    createRevision: BigInt(kv.create_revision),
    modRevision: BigInt(kv.mod_revision),
    lease: BigInt(kv.lease),
    value: kv.value,
  }
}

function keyOf({key}: IKeyValue): string {
  return key.toString('latin1')
}
