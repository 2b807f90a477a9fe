/** As much of gRPC and protobuf as it takes to count messages and to read lease ids out of them. */

/** Cuts a gRPC byte stream into messages, however the bytes were split on their way. */
export class Deframer {
  #rest: Buffer = Buffer.alloc(0)

  push(bytes: Buffer): Buffer[] {
    this.#rest = Buffer.concat([this.#rest, bytes])
    const messages: Buffer[] = []
    // One byte of flags, four bytes of length, the message.
    while (this.#rest.length >= 5) {
      const end = 5 + this.#rest.readUInt32BE(1)
      if (this.#rest.length < end) break
      messages.push(this.#rest.subarray(5, end))
      this.#rest = this.#rest.subarray(end)
    }
    return messages
  }
}

/** The integer fields of a protobuf message's top level, by number. Others are skipped; absent means 0. */
export const integerFields = (message: Buffer): Map<number, bigint> => {
  const fields = new Map<number, bigint>()
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; at < message.length; shift += 7n) {
      const byte = message[at++] ?? 0
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    return value
  }
  while (at < message.length) {
    const tag = Number(varint())
    const wire = tag & 7
    if (wire === 0) fields.set(tag >>> 3, varint())
    else if (wire === 1) at += 8
    else if (wire === 2) {
      const length = Number(varint())
      at += length
    } else if (wire === 5) at += 4
    else break
  }
  return fields
}
