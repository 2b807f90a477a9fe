import {expect, test} from 'vitest'
import type {FencingToken} from '../../../src/lib/core/identifiers.ts'
import type {LockNews} from '../../../src/lib/core/lock.ts'
import {speakNews} from '../../../src/lib/output/lockNews.ts'
import {Speaker} from '../../../src/lib/output/stderr.ts'

class Recorder extends Speaker {
  readonly said: [how: string, text: string][] = []
  override fault(text: string): void {
    this.said.push(['fault', text])
  }
  override warn(text: string): void {
    this.said.push(['warn', text])
  }
  override detail(text: string): void {
    this.said.push(['detail', text])
  }
}

test.each<[how: string, text: string, news: LockNews]>([
  [
    'warn',
    'etcd raised the TTL from 0.5 s to 2 s; ask for that much to silence this',
    {kind: 'ttlRaised', askedMs: 500, grantedMs: 2000},
  ],
  ['detail', 'somebody holds nightly; waiting', {kind: 'waiting', name: 'nightly'}],
  ['warn', 'our lease ended while we waited; queued again, at the end', {kind: 'requeued'}],
  ['detail', 'the last holder vanished; waiting 0.5 s for its job to be gone', {kind: 'settling', ms: 500}],
  // Beyond what a JS number can hold.
  [
    'detail',
    'acquired, fencing token 9007199254740993',
    {kind: 'acquired', fences: [9_007_199_254_740_993n as FencingToken]},
  ],
  [
    'warn',
    'renewals fail (http://db1:2379: no answer in time); the job is told to end in 7.3 s unless one is confirmed',
    {kind: 'jeopardy', reason: 'http://db1:2379: no answer in time', termInMs: 7349.6},
  ],
  ['warn', 'the lease is confirmed again; the job goes on', {kind: 'recovered'}],
])('as a %s: %s', (how, text, news) => {
  const recorder = new Recorder('verbose')
  speakNews(recorder, news)
  expect(recorder.said).toEqual([[how, text]])
})
