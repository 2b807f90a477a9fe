/**
 * The part of etcd's v3 API that the engine serves, as plain values. Fields mean what `rpc.proto` says of those with the same
 * name. Revisions and versions are numbers: an engine that wrote every millisecond would take 285,000 years to leave the safe
 * integers. Lease ids are any int64, so bigint; 0n is none.
 */

export interface KeyValue {
  readonly key: Buffer
  readonly value: Buffer
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
  readonly lease: bigint
}

/** What happened to a key. A deletion has only its key and the revision of the deletion as `modRevision`. */
export interface Event {
  readonly type: 'put' | 'delete'
  readonly kv: KeyValue
  readonly prevKv?: KeyValue | undefined
}

/** A key; with an end, all from it up to there; with an end of one zero byte, all from it on. */
export interface KeyRange {
  readonly key: Buffer
  /** Empty for none. */
  readonly rangeEnd: Buffer
}

type SortOrder = 'None' | 'Ascend' | 'Descend'
export type SortTarget = 'Key' | 'Version' | 'Create' | 'Mod' | 'Value'

export interface RangeRequest extends KeyRange {
  /** 0 for no limit. */
  readonly limit: number
  /** 0 for the present. */
  readonly revision: number
  readonly sortOrder: SortOrder
  readonly sortTarget: SortTarget
  readonly keysOnly: boolean
  readonly countOnly: boolean
  /** The bounds: 0 for none. */
  readonly minModRevision: number
  readonly maxModRevision: number
  readonly minCreateRevision: number
  readonly maxCreateRevision: number
}

export interface RangeAnswer {
  readonly revision: number
  readonly kvs: readonly KeyValue[]
  readonly more: boolean
  readonly count: number
}

export interface PutRequest {
  readonly key: Buffer
  readonly value: Buffer
  readonly lease: bigint
  readonly prevKv: boolean
  readonly ignoreValue: boolean
  readonly ignoreLease: boolean
}

export interface PutAnswer {
  readonly revision: number
  readonly prevKv?: KeyValue | undefined
}

export interface DeleteRequest extends KeyRange {
  readonly prevKv: boolean
}

export interface DeleteAnswer {
  readonly revision: number
  readonly deleted: number
  readonly prevKvs: readonly KeyValue[]
}

type CompareResult = 'Equal' | 'Greater' | 'Less' | 'NotEqual'

/** Compares each key of the range; a missing key as one whose numbers are all 0. */
export type Compare = KeyRange & {readonly result: CompareResult} & (
    | {readonly target: 'Version' | 'Create' | 'Mod'; readonly operand: number}
    | {readonly target: 'Lease'; readonly operand: bigint}
    | {readonly target: 'Value'; readonly operand: Buffer}
  )

export type Operation =
  | {readonly is: 'range'; readonly request: RangeRequest}
  | {readonly is: 'put'; readonly request: PutRequest}
  | {readonly is: 'delete'; readonly request: DeleteRequest}
  | {readonly is: 'txn'; readonly request: TxnRequest}
  /** None was given, which etcd refuses. */
  | {readonly is: 'nothing'}

export interface TxnRequest {
  readonly compare: readonly Compare[]
  readonly success: readonly Operation[]
  readonly failure: readonly Operation[]
}

export type OperationAnswer =
  | {readonly is: 'range'; readonly answer: RangeAnswer}
  | {readonly is: 'put'; readonly answer: PutAnswer}
  | {readonly is: 'delete'; readonly answer: DeleteAnswer}
  | {readonly is: 'txn'; readonly answer: TxnAnswer}

export interface TxnAnswer {
  /** 0 in the answer of a transaction within another one, as etcd leaves it. */
  readonly revision: number
  readonly succeeded: boolean
  readonly responses: readonly OperationAnswer[]
}

export interface Lease {
  readonly id: bigint
  /** What was granted. */
  readonly ttlSeconds: number
}

export interface WatchCreateRequest extends KeyRange {
  /** 0 for what comes. */
  readonly startRevision: number
  readonly filters: readonly ('Noput' | 'Nodelete')[]
  readonly prevKv: boolean
  /** 0 lets the stream choose. */
  readonly watchId: number
  readonly fragment: boolean
}

export interface WatchAnswer {
  /** 0 where etcd says none. */
  readonly revision: number
  readonly watchId: number
  readonly created?: boolean
  readonly canceled?: boolean
  readonly compactRevision?: number
  readonly cancelReason?: string
  readonly fragment?: boolean
  readonly events: readonly Event[]
}

/** What etcd would answer with an error for: its code in gRPC and its words (`v3rpc/rpctypes`), by which clients know it. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly code: number

  constructor(code: number, words: string) {
    super(words)
    this.code = code
  }
}

/** The codes of gRPC that the engine uses. */
const code = {
  invalidArgument: 3,
  notFound: 5,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unavailable: 14,
} as const

const refusal = (is: keyof typeof code, words: string) => (): Refusal =>
  new Refusal(code[is], `etcdserver: ${words}`)

export const refusals = {
  emptyKey: refusal('invalidArgument', 'key is not provided'),
  keyNotFound: refusal('invalidArgument', 'key not found'),
  valueProvided: refusal('invalidArgument', 'value is provided'),
  leaseProvided: refusal('invalidArgument', 'lease is provided'),
  tooManyOperations: refusal('invalidArgument', 'too many operations in txn request'),
  duplicateKey: refusal('invalidArgument', 'duplicate key given in txn request'),
  invalidSortOption: refusal('invalidArgument', 'invalid sort option'),
  requestTooLarge: refusal('invalidArgument', 'request is too large'),
  compacted: refusal('outOfRange', 'mvcc: required revision has been compacted'),
  futureRevision: refusal('outOfRange', 'mvcc: required revision is a future revision'),
  leaseNotFound: refusal('notFound', 'requested lease not found'),
  leaseExists: refusal('failedPrecondition', 'lease already exists'),
  leaseTtlTooLarge: refusal('outOfRange', 'too large lease TTL'),
  tooSlow: refusal('resourceExhausted', 'watch is read too slowly'),
  stopped: refusal('unavailable', 'server stopped'),
} as const

/** Why nothing can be answered any more. */
export const unavailable = (words: string): Refusal => new Refusal(code.unavailable, words)
