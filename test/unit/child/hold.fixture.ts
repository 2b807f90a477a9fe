import type {FencingToken} from '../../../src/lib/core/identifiers.ts'

/** A hold of a job that has ended, as far as nobody asks for more. */
export const hold = {
  locks: [{lock: 'x', fence: 7n as FencingToken, key: 'k'}],
  lease: 'a',
  waitedMs: 0,
  heldMs: 0,
  containment: 'session',
  leftovers: false,
  possibleOverlap: false,
} as const
