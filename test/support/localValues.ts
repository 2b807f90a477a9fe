import type {
  Compare,
  DeleteRequest,
  PutRequest,
  RangeRequest,
  WatchCreateRequest,
} from '../../src/lib/local/values.ts'

/** Requests to the local engine with etcd's defaults for what is not given; keys and values as text. */

const none = Buffer.alloc(0)

/** The end of the range of all keys from one on. */
export const toLast = Buffer.alloc(1)

type Asked<Request> = Partial<Omit<Request, 'key'>>

export const rangeOf = (key: string, asked: Asked<RangeRequest> = {}): RangeRequest => ({
  key: Buffer.from(key),
  rangeEnd: none,
  limit: 0,
  revision: 0,
  sortOrder: 'None',
  sortTarget: 'Key',
  keysOnly: false,
  countOnly: false,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
  ...asked,
})

export const putOf = (key: string, value = '', asked: Asked<PutRequest> = {}): PutRequest => ({
  key: Buffer.from(key),
  value: Buffer.from(value),
  lease: 0n,
  prevKv: false,
  ignoreValue: false,
  ignoreLease: false,
  ...asked,
})

export const deletionOf = (key: string, asked: Asked<DeleteRequest> = {}): DeleteRequest => ({
  key: Buffer.from(key),
  rangeEnd: none,
  prevKv: false,
  ...asked,
})

export const watchOf = (key: string, asked: Asked<WatchCreateRequest> = {}): WatchCreateRequest => ({
  key: Buffer.from(key),
  rangeEnd: none,
  startRevision: 0,
  filters: [],
  prevKv: false,
  watchId: 0,
  fragment: false,
  ...asked,
})

/** That a key was created at a revision; 0: that it is not there. */
export const createdAt = (key: string, operand: number): Compare => ({
  key: Buffer.from(key),
  rangeEnd: none,
  target: 'Create',
  result: 'Equal',
  operand,
})
