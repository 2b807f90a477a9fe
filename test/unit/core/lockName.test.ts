import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {LeashError} from '../../../src/lib/core/errors.ts'
import type {LeaseId} from '../../../src/lib/core/identifiers.ts'
import {
  type LockKeys,
  electionKeys,
  inOrder,
  lockKeys,
  mostLocks,
  rawLockKeys,
  ticketKey,
} from '../../../src/lib/core/lockName.ts'

const allowed = (name: string): boolean => {
  try {
    return lockKeys('leash/', name).name === name
  } catch {
    return false
  }
}
const name = fc
  .oneof(fc.string({unit: 'grapheme', minLength: 1}), fc.stringMatching(/^[%/25F.a ]{1,12}$/))
  .filter(allowed)

/** The refusal of a name, which says what and why. */
function refusal(act: () => unknown): LeashError {
  try {
    act()
  } catch (error) {
    expect(error).toBeInstanceOf(LeashError)
    return error as LeashError
  }
  throw new Error('was not refused')
}

describe('the keys of a lock', () => {
  test('stand below the prefix, the queue apart from the mark', () => {
    expect(lockKeys('leash/', 'nightly')).toEqual({
      name: 'nightly',
      queuePrefix: 'leash/lock/nightly/',
      markKey: 'leash/held/lock/nightly',
      besideMarks: 'leash/held/beside/nightly/',
    })
  })

  test('have the name as one segment, so that `db` and `db/backup` cannot meet', () => {
    const [db, backup] = [lockKeys('leash/', 'db'), lockKeys('leash/', 'db/backup')]
    expect(backup.queuePrefix).toBe('leash/lock/db%2Fbackup/')
    expect(backup.queuePrefix.startsWith(db.queuePrefix)).toBe(false)
    expect(lockKeys('leash/', 'db%2Fbackup').queuePrefix).not.toBe(backup.queuePrefix)
  })

  test("of two names never meet: no queue or mark of one is the other's, or inside it", () => {
    fc.assert(
      fc.property(name, name, (one, other) => {
        fc.pre(one !== other)
        const [ours, theirs] = [lockKeys('leash/', one), lockKeys('leash/', other)]
        expect(ours.queuePrefix.startsWith(theirs.queuePrefix)).toBe(false)
        expect(ours.markKey).not.toBe(theirs.markKey)
        expect(ours.markKey?.startsWith(theirs.queuePrefix)).toBe(false)
      }),
      {numRuns: 1000},
    )
  })

  test('say the name again when decoded', () => {
    fc.assert(
      fc.property(name, (text) => {
        const segment = /^leash\/lock\/([^/]+)\/$/.exec(lockKeys('leash/', text).queuePrefix)?.[1]
        expect(segment?.replaceAll('%2F', '/').replaceAll('%25', '%')).toBe(text)
      }),
    )
  })

  test("a ticket's key ends in the lease id, as Go writes it", () => {
    const lease = 0x694d71ddacfda227n as LeaseId
    expect(ticketKey(lockKeys('leash/', 'x'), lease)).toBe('leash/lock/x/694d71ddacfda227')
    expect(ticketKey(rawLockKeys('my-locks/x'), 0xabcn as LeaseId)).toBe('my-locks/x/abc')
  })

  test('of a raw key are what Go makes of it, without a mark', () => {
    expect(rawLockKeys('services/api')).toEqual({name: 'services/api', queuePrefix: 'services/api/'})
  })
})

test('the keys of an election are laid out as those of a lock, and those of its namesake apart', () => {
  expect(electionKeys('leash/', 'a/b%')).toEqual({
    name: 'a/b%',
    queuePrefix: 'leash/election/a%2Fb%25/',
    markKey: 'leash/held/election/a%2Fb%25',
    metaPrefix: 'leash/meta/',
  })
  expect(refusal(() => electionKeys('leash/', '')).message).toBe('the election name is empty')
})

describe('a name', () => {
  test('may be 200 bytes long, not 201, and may hold spaces and any letters', () => {
    expect(allowed('a'.repeat(200))).toBe(true)
    expect(allowed('a'.repeat(201))).toBe(false)
    expect(allowed('ü'.repeat(100))).toBe(true)
    expect(allowed(`${'ü'.repeat(100)}a`)).toBe(false)
    expect(allowed('nightly backup, naïve 日本 \u{1f512}')).toBe(true)
  })

  test('is refused with its beginning, its length and the limit when it is too long', () => {
    const error = refusal(() => lockKeys('leash/', 'ä'.repeat(101)))
    expect(error.code).toBe('usage')
    expect(error.message).toBe(`the lock name "${'ä'.repeat(20)}..." is 202 bytes long, and 200 is the most`)
    expect(error.wayOut).toBe('shorten it')
  })

  test('is refused when it is empty', () => {
    expect(refusal(() => lockKeys('leash/', '')).message).toBe('the lock name is empty')
  })

  test.each([0x00, 0x09, 0x0a, 0x1b, 0x1f, 0x7f, 0x80, 0x9b, 0x9f])(
    'is refused, with the code, for the control character %i',
    (code) => {
      const text = `a${String.fromCodePoint(code)}b`
      const hex = code.toString(16).toUpperCase().padStart(4, '0')
      expect(refusal(() => lockKeys('leash/', text)).message).toContain(
        `holds the control character U+${hex}`,
      )
    },
  )

  test.each(['\ud800', 'a\udfffb', '\udc00\ud800', '\ufffd'])(
    'is refused when it did not come from UTF-8: %j',
    (text) => {
      expect(refusal(() => lockKeys('leash/', text)).message).toContain('is not valid UTF-8')
    },
  )

  test('is refused or kept whole, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({unit: 'binary'}), (text) => {
        const isRefused = !allowed(text)
        const bytes = Buffer.byteLength(text)
        const codes = Array.from(text, (letter) => letter.codePointAt(0) ?? 0)
        const isControl = (code: number): boolean => code < 0x20 || (code >= 0x7f && code < 0xa0)
        const isBroken = (code: number): boolean => code === 0xfffd || (code >= 0xd800 && code < 0xe000)
        const isBad = bytes === 0 || bytes > 200 || codes.some((code) => isControl(code) || isBroken(code))
        expect(isRefused).toBe(isBad)
      }),
    )
  })
})

test('a raw key may be 1000 bytes long, not 1001, and keeps the other rules', () => {
  expect(rawLockKeys('k'.repeat(1000)).queuePrefix).toHaveLength(1001)
  expect(refusal(() => rawLockKeys('k'.repeat(1001))).message).toContain('the raw key')
  expect(refusal(() => rawLockKeys('')).message).toBe('the raw key is empty')
  expect(refusal(() => rawLockKeys('a\nb')).message).toContain('U+000A')
})

describe('several locks', () => {
  const named = (first: string, ...others: string[]): [LockKeys, ...LockKeys[]] => [
    lockKeys('leash/', first),
    ...others.map((other) => lockKeys('leash/', other)),
  ]
  const raw = (first: string, ...others: string[]): [LockKeys, ...LockKeys[]] => [
    rawLockKeys(first),
    ...others.map(rawLockKeys),
  ]
  const names = (keys: readonly LockKeys[]): string[] => keys.map((one) => one.name)

  test('are taken in the same order, in whichever they were named', () => {
    fc.assert(
      fc.property(fc.uniqueArray(name, {minLength: 1, maxLength: 8}), fc.gen(), (texts, gen) => {
        const [first = '', ...others] = texts
        const [shuffledFirst = '', ...shuffled] = gen(fc.shuffledSubarray, texts, {minLength: texts.length})
        expect(inOrder(named(shuffledFirst, ...shuffled))).toEqual(inOrder(named(first, ...others)))
      }),
    )
  })

  test('are in the byte order of their keys, which etcd has, too, and not in that of UTF-16', () => {
    const [smaller, larger] = ['\uff01', '\u{1f512}']
    expect(larger < smaller).toBe(true)
    expect(names(inOrder(named(larger, smaller)))).toEqual([smaller, larger])
    // The `/` that ends a key counts.
    expect(names(inOrder(named('a!', 'a', 'a0')))).toEqual(['a!', 'a', 'a0'])
  })

  test('that are named twice are taken once', () => {
    expect(names(inOrder(named('b', 'a', 'b', 'a')))).toEqual(['a', 'b'])
    expect(names(inOrder(raw('b', 'b')))).toEqual(['b'])
  })

  test(`may be ${mostLocks}, each once, and not one more`, () => {
    const some = (count: number): [LockKeys, ...LockKeys[]] => {
      const all = Array.from({length: count}, (_, index) => String(index))
      return named('0', ...all, ...all)
    }
    expect(inOrder(some(mostLocks))).toHaveLength(mostLocks)
    const error = refusal(() => inOrder(some(mostLocks + 1)))
    expect(error.code).toBe('usage')
    expect(error.message).toBe(`${mostLocks + 1} locks are named, and ${mostLocks} is the most`)
    expect(error.wayOut).toBe('name one lock that stands for them')
  })

  test.each([
    [['a', 'a/b'], 'a/b', 'a'],
    [['a/b/c', 'b', 'a'], 'a/b/c', 'a'],
    // Between the two in the order stands nothing that is not within the first, too.
    [['a/b', 'a!', 'a', 'a0'], 'a/b', 'a'],
    [['a', 'a/'], 'a/', 'a'],
  ])('of which one raw key lies within the queue of another are refused: %j', (keys, inner, outer) => {
    const [first = '', ...others] = keys
    const error = refusal(() => inOrder(raw(first, ...others)))
    expect(error.code).toBe('usage')
    expect(error.message).toBe(`the raw key "${inner}" lies within the queue of "${outer}"`)
    expect(error.wayOut).toBe('name only one of the two')
  })

  test('whose raw keys only begin alike are fine', () => {
    expect(names(inOrder(raw('ab', 'a', 'a!/b')))).toEqual(['a!/b', 'a', 'ab'])
  })
})
