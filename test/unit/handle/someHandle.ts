import {fencingToken, type LeaseId} from '../../../src/lib/core/identifiers.ts'
import type {Handle} from '../../../src/lib/handle/handle.ts'

/** What a handle must have. */
export const plainHandle: Handle = {
  locks: [
    {
      name: 'nightly',
      queuePrefix: 'leash/lock/nightly/',
      markKey: 'leash/held/lock/nightly',
      key: 'leash/lock/nightly/5d3f0c1a',
      createRevision: fencingToken(4711n),
    },
  ],
  lease: 0x5d3f0c1an as LeaseId,
  endpoints: ['http://127.0.0.1:2379'],
  ttlMs: 30_000,
  lockDelayMs: 0,
  bootId: '3b0c1a52-6a5c-4f57-9d5e-2f1d0a9c7e11',
  sentAtBootMs: 1_234_567.5,
}

/** All that a handle can have, with the largest numbers that etcd knows. */
export const fullHandle: Handle = {
  ...plainHandle,
  locks: [
    {
      name: 'größe "日本" \u2028🙂',
      queuePrefix: 'a/',
      markKey: 'm',
      mode: {kind: 'slots', slots: 3},
      key: 'a/1',
      createRevision: 2n ** 63n - 1n,
      vanished: ['leash/held/beside/nightly/shared/1', 'm'],
    },
    {name: 'raw', queuePrefix: 'raw/', mode: {kind: 'shared'}, key: 'raw/1', createRevision: 1n},
  ],
  lease: (2n ** 63n - 1n) as LeaseId,
  election: true,
  endpoints: ['https://[::1]:2379', 'https://db1:2379'],
  graceMs: 0,
  admittedAtBootMs: 1_234_000.25,
  keeper: {
    pid: 11,
    startTicks: 0,
    guard: {pid: 12, startTicks: 2},
    keeps: {pid: 13, startTicks: 3},
  },
  ended: {how: 'lost', reason: 'ticketGone'},
}
