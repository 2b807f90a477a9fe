import {unreachable} from '../core/errors.ts'
import type {LockNews} from '../core/lock.ts'
import type {Speaker} from './stderr.ts'

/** Says what happens while a lock is waited for and held. Waiting itself has a display of its own. */
export function speakNews(speaker: Speaker, news: LockNews): void {
  switch (news.kind) {
    case 'ttlRaised':
      return speaker.warn(
        `etcd raised the TTL from ${seconds(news.askedMs)} to ${seconds(news.grantedMs)}; ask for that much to silence this`,
      )
    case 'waiting':
      return speaker.detail(`somebody holds ${news.name}; waiting`)
    case 'requeued':
      return speaker.warn('our lease ended while we waited; queued again, at the end')
    case 'settling':
      return speaker.detail(`the last holder vanished; waiting ${seconds(news.ms)} for its job to be gone`)
    case 'acquired':
      return speaker.detail(`acquired, fencing token ${news.fences.join(', ')}`)
    case 'jeopardy':
      return speaker.warn(
        `renewals fail (${news.reason}); the job is told to end in ${seconds(news.termInMs)} unless one is confirmed`,
      )
    case 'unwatched':
      return speaker.warn(
        `an own ticket cannot be watched (${news.reason}); check the role that etcd gives us`,
      )
    case 'recovered':
      return speaker.warn('the lease is confirmed again; the job goes on')
    default:
      return unreachable(news)
  }
}

function seconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(1))} s`
}
