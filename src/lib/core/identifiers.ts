declare const brand: unique symbol

/** An etcd lease id: a positive int64. Decimal on the wire, lower-case hex without padding in ticket keys and for people. */
export type LeaseId = bigint & {readonly [brand]: 'LeaseId'}

/**
 * The create revision of the holder's ticket: strictly increasing from holder to holder of one lock, so that a resource
 * which remembers the largest one it saw can refuse a late write. An int64, hence never a JS number.
 */
export type FencingToken = bigint & {readonly [brand]: 'FencingToken'}

/** A revision of etcd's key space (int64). */
export type Revision = bigint

/** Makes a lease id from eight random bytes: 63 bits, never zero (zero asks etcd to choose). */
export function leaseIdFrom(random: Uint8Array): LeaseId {
  let id = 0n
  for (const byte of random.subarray(0, 8)) id = (id << 8n) | BigInt(byte)
  return (BigInt.asUintN(63, id) || 1n) as LeaseId
}

/** The lease id as etcd's Go clients write it into keys and `etcdctl` prints it. */
export function leaseHex(lease: LeaseId): string {
  return lease.toString(16)
}

/** The fencing token that a ticket created at this revision stands for. */
export function fencingToken(createRevision: Revision): FencingToken {
  return createRevision as FencingToken
}
