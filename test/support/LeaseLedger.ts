import {integerFields} from './grpcFrames.ts'

/** What a relay in front of etcd learns of each lease: until when etcd itself must count it as alive. */
export class LeaseLedger {
  readonly #expiresNotBeforeMs = new Map<string, number>()

  /**
   * A lower bound for the moment at which etcd could expire the lease by time: the last request for a grant or a
   * keep-alive that etcd answered, counted from before etcd received it, plus the TTL in the answer. A renewal
   * whose answer did not arrive may have counted too, then etcd expires it later. Revocations, and members that
   * answer though they are no longer the leader, are not known here. The id is hex, padded or not.
   */
  expiresNotBeforeMs(lease: string): number | undefined {
    return this.#expiresNotBeforeMs.get(BigInt(`0x${lease}`).toString(16))
  }

  /** A request (LeaseGrantRequest or LeaseKeepAliveRequest) got its answer, both as protobuf. */
  answered(requestAtMs: number, answer: Buffer): void {
    // LeaseGrantResponse and LeaseKeepAliveResponse agree: 1 header, 2 ID, 3 TTL.
    const fields = integerFields(answer)
    const lease = BigInt.asUintN(64, fields.get(2) ?? 0n).toString(16)
    const ttlS = Number(fields.get(3) ?? 0n)
    if (ttlS <= 0) return
    const expiresAtMs = requestAtMs + ttlS * 1000
    this.#expiresNotBeforeMs.set(lease, Math.max(expiresAtMs, this.#expiresNotBeforeMs.get(lease) ?? 0))
  }
}
