import {isUtf8} from 'node:buffer'
import {unreachable} from '../core/errors.ts'
import type {SeenTicket} from '../core/observation.ts'
import type {Observed} from '../core/observer.ts'
import {decodeTicket, describeHolder} from '../core/ticket.ts'
import {printable} from './escape.ts'

/** What a queue stands for: who is first in it leads, or holds a lock. */
export type QueueKind = 'election' | 'lock'

const words = {
  election: {elected: 'elected', proclaimed: 'proclaimed', vacant: 'vacant'},
  lock: {elected: 'held by', proclaimed: 'still held by', vacant: 'free'},
} as const

/** One line for people, with its end; undefined for what is not said on stdout. Whatever others wrote is made safe. */
export function changeLine(kind: QueueKind, news: Observed, wallMs: number): string | undefined {
  const time = new Date(wallMs).toISOString()
  switch (news.kind) {
    case 'elected':
    case 'proclaimed':
      return `${time} ${words[kind][news.kind]} ${describeTicket(kind, news.ticket)}\n`
    case 'vacant':
      return `${time} ${words[kind].vacant}\n`
    case 'gap':
    case 'stale':
    case 'fresh':
      return undefined
    default:
      return unreachable(news)
  }
}

/** The value of a candidate, or the holder of a lock, with the fencing token: for people. */
export function describeTicket(kind: QueueKind, ticket: SeenTicket): string {
  const text = printable(kind === 'election' ? utf8(ticket.value) : holderLine(ticket))
  return `${text} (fence ${ticket.createRevision})`
}

/** One JSON object on a line, with its end. */
export function newsJson(kind: QueueKind, news: Observed, wallMs: number): string {
  const about = {event: news.kind, time: new Date(wallMs).toISOString()}
  const more = (): object => {
    switch (news.kind) {
      case 'elected':
      case 'proclaimed':
        return {revision: news.revision.toString(), ...ticketFields(kind, news.ticket)}
      case 'vacant':
        return {revision: news.revision.toString()}
      case 'gap':
        return {afterRevision: news.afterRevision.toString()}
      case 'stale':
        return {afterMs: Math.round(news.afterMs), reason: news.reason}
      case 'fresh':
        return {}
      default:
        return unreachable(news)
    }
  }
  return `${JSON.stringify({...about, ...more()})}\n`
}

/**
 * What JSON says of a ticket: int64 numbers as strings, the lease in hex as `etcdctl` prints it, the value as text if it is
 * UTF-8, and its bytes in any case; of a lock also its holder, `null` for another program.
 */
export function ticketFields(kind: QueueKind, ticket: SeenTicket): Readonly<Record<string, unknown>> {
  const {key, createRevision, lease, value} = ticket
  return {
    key: keyText(key),
    fence: createRevision.toString(),
    lease: lease.toString(16),
    ...(isUtf8(value) && {value: utf8(value)}),
    valueBase64: Buffer.from(value).toString('base64'),
    ...(kind === 'lock' && {holder: decodeTicket(utf8(value))?.holder ?? null}),
  }
}

/** What to say on stderr beside the changes. */
export function observerMessage(news: Observed): string | undefined {
  switch (news.kind) {
    case 'gap':
      return `changes after revision ${news.afterRevision} may be missing here: the history of so long ago is gone`
    case 'stale':
      return `what was shown may be stale: not confirmed for ${(news.afterMs / 1000).toFixed(1)} s (${news.reason})`
    case 'fresh':
      return 'what was shown is confirmed again'
    case 'elected':
    case 'proclaimed':
    case 'vacant':
      return undefined
    default:
      return unreachable(news)
  }
}

function holderLine({key, createRevision, value}: SeenTicket): string {
  return describeHolder({key: keyText(key), createRevision, ...decodeTicket(utf8(value))})
}

function keyText(key: string): string {
  return utf8(Buffer.from(key, 'latin1'))
}

function utf8(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8')
}
