import {chmodSync, chownSync, readFileSync, renameSync, symlinkSync, writeFileSync} from 'node:fs'
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import {PackageCopy} from './PackageCopy.ts'

/**
 * V8 does not notice code of another source of the same length. So a bundle that says another name in its version leaves
 * a cache which, beside the true bundle, shows whether its code was used.
 */
const foreignName = 'LEASH-cli'
const trueName = 'leash-cli'

let copy: PackageCopy
let bundle: string
beforeAll(async () => {
  copy = await PackageCopy.make()
  bundle = readFileSync(copy.bundle, 'latin1')
})
afterAll(() => copy?.[Symbol.dispose]())

const nameSaid = async (): Promise<string> => (await copy.leash('--version')).stdout.split('/')[0] ?? ''

const cacheFile = (): string => {
  const [file = '', ...others] = copy.caches
  expect(others).toEqual([])
  return file
}

describe('a code cache with foreign code', () => {
  beforeEach(async () => {
    copy.forgetCaches()
    writeFileSync(copy.bundle, bundle.replaceAll(`"${trueName}"`, `"${foreignName}"`), 'latin1')
    expect(await nameSaid()).toBe(foreignName)
    writeFileSync(copy.bundle, bundle, 'latin1')
  })

  test('is used if only the user could have written it, so it is a cache at all', async () => {
    expect(await nameSaid()).toBe(foreignName)
  })

  test.each(['664', '646'])('is not used if others can write it (mode %s)', async (mode) => {
    chmodSync(cacheFile(), parseInt(mode, 8))
    expect(await nameSaid()).toBe(trueName)
  })

  test.skipIf(process.getuid?.() !== 0)('is not used if it belongs to a third person', async () => {
    chownSync(cacheFile(), 12345, 12345)
    expect(await nameSaid()).toBe(trueName)
  })

  test('is not used through a symbolic link', async () => {
    const file = cacheFile()
    renameSync(file, `${copy.root}/elsewhere`)
    symlinkSync(`${copy.root}/elsewhere`, file)
    expect(await nameSaid()).toBe(trueName)
  })

  test('is not used for a bundle with another hash', async () => {
    writeFileSync(copy.bundle, bundle.replace(copy.hash, '0123456789abcdef'), 'latin1')
    expect(await nameSaid()).toBe(trueName)
    writeFileSync(copy.bundle, bundle, 'latin1')
  })
})

describe('a code cache', () => {
  beforeEach(() => copy.forgetCaches())

  test('is named after what V8 does not check', async () => {
    await copy.leash('--version')
    expect(cacheFile()).toContain(`${copy.hash}-${process.version}-${process.arch}-leash`)
  })

  test('that is damaged does no harm and is replaced', async () => {
    await copy.leash('--version')
    writeFileSync(cacheFile(), 'not what V8 wrote')
    expect(await nameSaid()).toBe(trueName)
    expect(readFileSync(cacheFile()).length).toBeGreaterThan(10_000)
  })

  test('that is empty does no harm', async () => {
    await copy.leash('--version')
    writeFileSync(cacheFile(), '')
    expect(await nameSaid()).toBe(trueName)
  })

  test('is no longer written when runs bring nothing new', async () => {
    for (let run = 0; run < 7; run++) await copy.leash('--version')
    const finished = readFileSync(cacheFile())
    expect(finished.at(-1)).toBe(255)
    chmodSync(cacheFile(), 0o444)
    await copy.leash('--version')
    expect(readFileSync(cacheFile()).equals(finished)).toBe(true)
  })

  test('is not made of what was mistyped, nor of help for a command', async () => {
    await copy.leash('rum')
    await copy.leash('run', '--help')
    expect(copy.caches).toEqual([])
  })

  test('is another one under other flags of V8', async () => {
    await copy.leash('--version')
    await copy.run([process.execPath, '--max-lazy', copy.launcher, '--version'])
    expect(copy.caches).toHaveLength(2)
  })

  test('of several first runs at once is whole', async () => {
    await Promise.all(Array.from({length: 6}, () => copy.leash('--version')))
    expect(await nameSaid()).toBe(trueName)
    expect(copy.caches.filter((file) => file.endsWith('.tmp'))).toEqual([])
  })
})
