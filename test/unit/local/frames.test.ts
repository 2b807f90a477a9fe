import {describe, expect, test} from 'vitest'
import {Damage, contents, frame, leastRoomBytes} from '../../../src/lib/local/frames.ts'

/** Text without zeros, so that no sector of it looks unwritten. */
const filled = (length: number): Buffer => Buffer.from(Array.from({length}, (_, index) => 1 + (index % 255)))
const wanted = [filled(1), filled(16), filled(700), filled(2000)]
const frames = wanted.map(frame)
const room = Buffer.alloc(4096)
const file = Buffer.concat([...frames, room])
const endsAt = file.length - room.length
const lastAt = endsAt - (frames.at(-1)?.length ?? 0)

const changed = (change: (bytes: Buffer) => void): Buffer => {
  const bytes = Buffer.from(file)
  change(bytes)
  return bytes
}

describe('frames', () => {
  test('are read as they were written', () => {
    expect(contents(file, 0)).toEqual(wanted)
    expect(contents(room, 0)).toEqual([])
    expect(contents(file.subarray(0, endsAt + leastRoomBytes), 0)).toEqual(wanted)
  })

  test('of which the last was not finished are read up to there, whichever of its sectors are missing', () => {
    const sectors = Array.from({length: 6}, (_, index) => Math.floor(lastAt / 512) * 512 + index * 512)
    for (let missing = 1; missing < 2 ** sectors.length; missing++) {
      const bytes = changed((all) => {
        for (const [index, sector] of sectors.entries())
          if ((missing >> index) & 1) all.fill(0, Math.max(sector, lastAt), sector + 512)
      })
      const touchesFrame = sectors.some((sector, index) => (missing >> index) & 1 && sector < endsAt)
      expect(contents(bytes, 0)).toEqual(touchesFrame ? wanted.slice(0, -1) : wanted)
    }
  })

  test('in which any byte has changed are damaged', () => {
    for (let at = 0; at < endsAt; at++) {
      if (isFilling(at)) continue
      const bytes = changed((all) => {
        all[at] = (all[at] ?? 0) ^ 0x10
      })
      expect(() => contents(bytes, 0), `byte ${at}`).toThrow(Damage)
    }
  })

  test('of which one is missing before another one are damaged', () => {
    const [first = room, second = room] = frames
    const from = first.length
    for (const end of [from + 16, from + second.length]) {
      const bytes = changed((all) => void all.fill(0, from, end))
      expect(() => contents(bytes, 0)).toThrow(Damage)
    }
  })

  test('that were cut off are damaged', () => {
    // Between two frames, too.
    for (let length = lastAt; length < endsAt + leastRoomBytes; length++)
      expect(() => contents(file.subarray(0, length), 0), `${length} bytes`).toThrow(Damage)
  })
})

/** The zeros that fill a frame up. */
function isFilling(at: number): boolean {
  let from = 0
  for (const [index, bytes] of frames.entries()) {
    const contentEnd = from + 16 + (wanted[index]?.length ?? 0)
    if (at >= contentEnd && at < from + bytes.length) return true
    from += bytes.length
  }
  return false
}
