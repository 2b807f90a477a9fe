import {crc32} from 'node:zlib'

/**
 * Frames, one after the other, in a file that was filled with zeros and synced before: a frame is written as a whole, and synced
 * before the next one is written. So what a loss of power can leave is an unfinished last frame, in which sectors are as they
 * were, all zeros. Everything else that is not as it was written is damage.
 *
 * A frame is a header of 16 bytes (length of the content, its CRC, CRC of the eight bytes before, zeros) and the content, filled
 * up with zeros to a multiple of 16; so no header lies in two sectors.
 */
const alignment = 16
const headerBytes = 16
/**
 * Zeros that are behind the last frame at least: without them, a file that was cut between two frames would look as if there had
 * never been more of it.
 */
export const leastRoomBytes = headerBytes
/** What a disk writes whole or not at all: the smallest that there is. */
const sectorBytes = 512

const aligned = (length: number): number => Math.ceil(length / alignment) * alignment

/** A frame around a content, which has at least one byte. */
export function frame(content: Buffer): Buffer {
  const bytes = Buffer.alloc(headerBytes + aligned(content.length))
  bytes.writeUInt32LE(content.length, 0)
  bytes.writeUInt32LE(crc32(content), 4)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 8)), 8)
  content.copy(bytes, headerBytes)
  return bytes
}

/** Something in a file is not as it was written. */
export class Damage extends Error {
  override readonly name = 'Damage'
  /** Where, in bytes from the beginning of the file. */
  readonly at: number

  constructor(at: number) {
    super(`damaged at byte ${at}`)
    this.at = at
  }
}

/**
 * The contents of the frames that were finished.
 *
 * @param from where the first one begins, a multiple of 16
 * @throws Damage
 */
export function contents(file: Buffer, from: number): Buffer[] {
  const found: Buffer[] = []
  let at = from
  for (;;) {
    const header = headerAt(file, at)
    if (header === undefined) break
    const content = file.subarray(at + headerBytes, at + headerBytes + header.length)
    if (crc32(content) !== header.crc) {
      if (!hasZeroSector(file, at + headerBytes, at + headerBytes + header.length)) throw new Damage(at)
      break
    }
    found.push(content)
    at += headerBytes + aligned(header.length)
  }
  for (let later = at + alignment; later + headerBytes <= file.length; later += alignment)
    if (isFrame(file, later)) throw new Damage(at)
  return found
}

/** Undefined where the sector of a header was never written. @throws Damage */
function headerAt(file: Buffer, at: number): {length: number; crc: number} | undefined {
  const header = file.subarray(at, at + headerBytes)
  if (header.length < headerBytes) throw new Damage(at)
  if (isZero(header)) return undefined
  const length = header.readUInt32LE(0)
  const isSound = crc32(header.subarray(0, 8)) === header.readUInt32LE(8) && header.readUInt32LE(12) === 0
  if (!isSound || length === 0 || at + headerBytes + aligned(length) > file.length) throw new Damage(at)
  return {length, crc: header.readUInt32LE(4)}
}

function isFrame(file: Buffer, at: number): boolean {
  if (file.readUInt32LE(at) === 0) return false
  try {
    const header = headerAt(file, at)
    if (header === undefined) return false
    return crc32(file.subarray(at + headerBytes, at + headerBytes + header.length)) === header.crc
  } catch {
    return false
  }
}

/** Whether what lies in one of the sectors of this part is nothing but zeros. */
function hasZeroSector(file: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to;) {
    const end = Math.min((Math.floor(at / sectorBytes) + 1) * sectorBytes, to)
    if (isZero(file.subarray(at, end))) return true
    at = end
  }
  return false
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0)
}
