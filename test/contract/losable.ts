import type {Losable} from './storeContract.ts'

/** The last parts of the path of the procedure that a method calls. */
export const rpcOf: Readonly<Record<Losable, string>> = {
  grant: 'Lease/LeaseGrant',
  enqueue: 'KV/Txn',
  declareHold: 'KV/Txn',
  proclaim: 'KV/Txn',
  dequeue: 'KV/Txn',
  revoke: 'Lease/LeaseRevoke',
}
