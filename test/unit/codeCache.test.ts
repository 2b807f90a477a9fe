import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import {Script} from 'node:vm'
import {afterEach, beforeEach, describe, expect, test} from 'vitest'
import {type CodeCache, saveCode} from '../../src/codeCache.ts'
import {scratchDirectory} from '../support/scratch.ts'

let root: string
let places: {shared: string; own: () => string}
beforeEach(() => {
  root = mkdtempSync(path.join(scratchDirectory('cache'), 'x'))
  places = {
    shared: path.join(root, 'package/.cache/code/run'),
    own: () => path.join(root, 'home/.cache/leash/run'),
  }
})
afterEach(() => rmSync(path.dirname(root), {recursive: true}))

const script = new Script('(() => { const unused = () => 1; return 2 })()')
const own = (): string => places.own()
const mode = (file: string): string => (statSync(file).mode & 0o777).toString(8)
const read = (file: string): CodeCache['cache'] => ({file, data: readFileSync(file), own: true})
const save = (cache?: CodeCache['cache']): void => saveCode({script, cache, places})

/** In the way of the directory that would be made there: nobody can write below a file, not even root. */
const obstruct = (file: string): void => {
  mkdirSync(path.dirname(path.dirname(file)), {recursive: true})
  writeFileSync(path.dirname(file), '')
}

describe('the code of a first run', () => {
  test('is kept beside the bundle, for all users to read', () => {
    save()
    expect(mode(places.shared)).toBe('644')
    expect(mode(path.dirname(places.shared))).toBe('755')
    expect(
      new Script('(() => { const unused = () => 1; return 2 })()', {
        cachedData: readFileSync(places.shared).subarray(0, -1),
      }).cachedDataRejected,
    ).toBe(false)
  })

  test('is kept in a directory of the user alone where the package cannot be written', () => {
    obstruct(places.shared)
    save()
    expect(mode(own())).toBe('600')
    expect(mode(path.dirname(own()))).toBe('700')
  })

  test('is not kept in a directory that others can write', () => {
    obstruct(places.shared)
    mkdirSync(path.dirname(own()), {recursive: true})
    chmodSync(path.dirname(own()), 0o777)
    save()
    expect(readdirSync(path.dirname(own()))).toEqual([])
  })

  test('is not kept, and nobody hears of it, where neither place can be written', () => {
    obstruct(places.shared)
    obstruct(own())
    expect(() => save()).not.toThrow()
  })

  test('leaves no half of a file where it cannot be put in place', () => {
    mkdirSync(places.shared, {recursive: true})
    save()
    expect(readdirSync(path.dirname(places.shared))).toEqual(['run'])
  })

  test('takes the place of caches that nobody has written for a month', () => {
    mkdirSync(path.dirname(places.shared), {recursive: true})
    const old = path.join(path.dirname(places.shared), 'old')
    writeFileSync(old, '')
    const twoMonthsAgo = Date.now() / 1000 - 60 * 24 * 3600
    utimesSync(old, twoMonthsAgo, twoMonthsAgo)
    save()
    expect(readdirSync(path.dirname(old))).toEqual(['run'])
  })
})

describe('a cache', () => {
  test('is finished when five runs in a row have added nothing', () => {
    save()
    const counts = [1, 2, 3, 4, 5, 6].map(() => {
      const count = readFileSync(places.shared).at(-1)
      save(read(places.shared))
      return count
    })
    expect(counts).toEqual([0, 1, 2, 3, 4, 255])
  })

  test('is replaced, and counts anew, when a run has compiled more', () => {
    save()
    const {size} = statSync(places.shared)
    const smaller = Buffer.alloc(size >> 1, 3)
    writeFileSync(places.shared, smaller)
    save(read(places.shared))
    expect(statSync(places.shared).size).toBe(size)
    expect(readFileSync(places.shared).at(-1)).toBe(0)
  })

  test('that another run has replaced meanwhile is left alone', () => {
    save()
    const before = read(places.shared)
    const larger = Buffer.alloc(statSync(places.shared).size * 2, 7)
    writeFileSync(places.shared, larger)
    save(before)
    expect(readFileSync(places.shared).equals(larger)).toBe(true)
  })

  test("of root's that a user may only read is bettered in the user's own directory", () => {
    obstruct(places.shared)
    const rootsCache = {file: '/usr/lib/leash/.cache/code/run', data: Buffer.alloc(1 << 20), own: false}
    save(rootsCache)
    expect(readFileSync(own()).at(-1)).toBe(0)
  })
})
