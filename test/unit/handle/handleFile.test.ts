import {execFileSync} from 'node:child_process'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, test} from 'vitest'
import {mostLocks} from '../../../src/lib/core/lockName.ts'
import {encodeHandle} from '../../../src/lib/handle/handle.ts'
import {createHandle, readHandle, updateHandle} from '../../../src/lib/handle/handleFile.ts'
import {asOrdinaryUser, refusal, strangerUid, TemporaryWorld} from '../config/temporaryWorld.ts'
import {fullHandle, plainHandle} from './someHandle.ts'

const isRoot = process.geteuid?.() === 0
const released = {...plainHandle, ended: {how: 'released'}} as const

let world: TemporaryWorld
let directory: string
beforeEach(() => {
  world = new TemporaryWorld()
  directory = world.directory(join(world.root, 'handles'))
})
afterEach(() => world[Symbol.dispose]())

const read = (path: string) => readHandle(path, world.uid)
const takeAgain = 'take the lock with leash acquire, and name the handle that it says'
const missing = (path: string) => ({
  code: 'usage',
  message: `there is no handle at ${JSON.stringify(path)}`,
  wayOut: takeAgain,
})

/** Does it under a umask that takes even the owner's rights. */
const underHarshUmask = <T>(action: () => T): T => {
  const usual = process.umask(0o777)
  try {
    return action()
  } finally {
    process.umask(usual)
  }
}

describe('a new handle', () => {
  test('is read as it was written, and has the name of its lease', () => {
    for (const handle of [plainHandle, fullHandle])
      expect(read(createHandle(directory, handle))).toEqual(handle)
    expect(readdirSync(directory).toSorted()).toEqual(['5d3f0c1a', '7fffffffffffffff'])
  })

  test('can be read and written by its owner only, whatever the umask', () => {
    const usual = process.umask(0)
    const open = createHandle(directory, plainHandle)
    process.umask(usual)
    const harsh = underHarshUmask(() => createHandle(directory, fullHandle))
    for (const path of [open, harsh]) expect(statSync(path).mode & 0o7777).toBe(0o600)
  })

  test('takes the place of nothing, and goes through no link', () => {
    const path = join(directory, '5d3f0c1a')
    const refused = {
      code: 'config',
      message: `the handle "${path}" cannot be written: EEXIST`,
      wayOut: 'make room, and let this user write there',
    }
    symlinkSync(join(world.root, 'elsewhere'), path)
    expect(refusal(() => createHandle(directory, plainHandle))).toEqual(refused)
    expect(readdirSync(world.root)).toEqual(['handles'])
    rmSync(path)
    createHandle(directory, plainHandle)
    expect(refusal(() => createHandle(directory, released))).toEqual(refused)
    expect(read(path)).toEqual(plainHandle)
  })

  test('that cannot be written leaves nothing', () => {
    // As a limit on file sizes; SIGXFSZ, which comes with it, is ignored by Node.
    const script = `
      import {createHandle} from './src/lib/handle/handleFile.ts'
      import {plainHandle} from './test/unit/handle/someHandle.ts'
      try { createHandle(process.argv[1], plainHandle) } catch (error) { console.log(error.message) }`
    const node = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', script, directory]
    const said = execFileSync('sh', ['-c', 'ulimit -f 0; "$@" | cat', 'sh', ...node]).toString()
    expect(said).toBe(`the handle "${join(directory, '5d3f0c1a')}" cannot be written: EFBIG\n`)
    expect(readdirSync(directory)).toEqual([])
  })
})

describe('an update', () => {
  test('replaces the handle as a whole: who has the old one open reads that', () => {
    const path = createHandle(directory, fullHandle)
    const before = statSync(path).ino
    updateHandle(path, {...fullHandle, sentAtBootMs: 7})
    expect(read(path).sentAtBootMs).toBe(7)
    expect(statSync(path).ino).not.toBe(before)
    expect(statSync(path).mode & 0o7777).toBe(0o600)
    expect(readdirSync(directory)).toEqual(['7fffffffffffffff'])
  })

  test('does not bring back a handle that is gone, or its directory', () => {
    const path = createHandle(directory, plainHandle)
    rmSync(path)
    expect(refusal(() => updateHandle(path, released))).toEqual(missing(path))
    expect(readdirSync(directory)).toEqual([])
    rmSync(directory, {recursive: true})
    expect(refusal(() => updateHandle(path, released))).toEqual(missing(path))
  })

  test('neither follows nor replaces a link, and replaces nothing but a file', () => {
    const target = createHandle(directory, plainHandle)
    const link = join(directory, 'link')
    symlinkSync(target, link)
    mkdirSync(join(directory, 'directory'))
    for (const name of ['link', 'directory'])
      expect(refusal(() => updateHandle(join(directory, name), released)).message).toBe(
        `the handle "${join(directory, name)}" is no regular file`,
      )
    expect(read(target)).toEqual(plainHandle)
    expect(readdirSync(directory).toSorted()).toEqual(['5d3f0c1a', 'directory', 'link'])
  })

  test('that cannot be written leaves the handle as it was', () => {
    const uid = isRoot ? strangerUid : world.uid
    chmodSync(world.root, 0o755)
    const path = createHandle(directory, plainHandle)
    chownSync(path, uid, -1)
    chmodSync(directory, 0o555)
    expect(asOrdinaryUser(() => refusal(() => updateHandle(path, released)))).toEqual({
      code: 'config',
      message: `the handle "${path}" cannot be written: EACCES`,
      wayOut: 'make room, and let this user write there',
    })
    expect(asOrdinaryUser(() => readHandle(path, uid))).toEqual(plainHandle)
    chmodSync(directory, 0o755)
  })
})

describe('reading refuses, with the path and the way out,', () => {
  const put = (content: string | Buffer): string => {
    const path = join(directory, 'handle')
    writeFileSync(path, content, {mode: 0o600})
    return path
  }

  test('a handle that is not there, or is below a file', () => {
    const below = join(put(''), 'x')
    for (const path of ['', join(directory, 'none'), below])
      expect(refusal(() => read(path))).toEqual(missing(path))
  })

  test('a link, though its target is a handle', () => {
    const link = join(directory, 'link')
    symlinkSync(createHandle(directory, plainHandle), link)
    expect(refusal(() => read(link))).toEqual({
      code: 'usage',
      message: `the handle "${link}" is a symbolic link`,
      wayOut: 'name the file itself',
    })
  })

  test('a directory, a device and a named pipe, without waiting for a writer', () => {
    const pipe = join(directory, 'pipe')
    execFileSync('mkfifo', [pipe])
    for (const path of [directory, '/dev/null', pipe])
      expect(refusal(() => read(path))).toEqual({
        code: 'usage',
        message: `the handle "${path}" is no regular file`,
        wayOut: takeAgain,
      })
  })

  test("another user's handle, also if root reads", () => {
    const path = createHandle(directory, plainHandle)
    // Only root can give a file away; anybody else looks at its own file as another user.
    const [owner, reader] = isRoot ? [strangerUid, 0] : [world.uid, strangerUid]
    chownSync(path, owner, -1)
    expect(refusal(() => readHandle(path, reader))).toEqual({
      code: 'usage',
      message: `the handle "${path}" belongs to uid ${owner} and not to you`,
      wayOut: 'use it as the user who took the lock, or take a lock of your own with leash acquire',
    })
  })

  test('a handle that this user may not open', () => {
    chmodSync(world.root, 0o755)
    const path = createHandle(directory, plainHandle)
    chmodSync(path, 0)
    expect(asOrdinaryUser(() => refusal(() => read(path)))).toMatchObject({
      code: 'usage',
      message: `the handle "${path}" cannot be read: permission denied`,
    })
  })

  test.each([0o640, 0o604, 0o620, 0o602, 0o610])('a handle of mode %o', (mode) => {
    const path = createHandle(directory, plainHandle)
    chmodSync(path, mode)
    expect(refusal(() => read(path))).toEqual({
      code: 'usage',
      message: `the handle "${path}" is open to others than its owner`,
      wayOut: 'take the lock with leash acquire, and name the handle that it says',
    })
  })

  test.each([0o600, 0o400])('but reads one of mode %o', (mode) => {
    const path = createHandle(directory, plainHandle)
    chmodSync(path, mode)
    expect(read(path)).toEqual(plainHandle)
  })

  test.each<[string, string | Buffer, string]>([
    ['empty', '', 'it is not whole JSON'],
    ['cut off', encodeHandle(fullHandle).slice(0, 100), 'it is not whole JSON'],
    ['not of our making', '{"version":1}', 'it has no valid locks'],
    ['not UTF-8', Buffer.from(encodeHandle({...plainHandle, bootId: 'ÿ'}), 'latin1'), 'it is not UTF-8'],
  ])('one that is damaged: %s', (_, content, what) => {
    const path = put(content)
    expect(refusal(() => read(path))).toEqual({
      code: 'usage',
      message: `the handle "${path}" is damaged: ${what}`,
      wayOut: 'remove it, and take the lock again when its lease has run out',
    })
  })

  test('one that is far too large, and one that is as large as can be', () => {
    const path = put(encodeHandle(plainHandle).padEnd(512 * 1024))
    expect(read(path)).toEqual(plainHandle)
    truncateSync(path, 512 * 1024 + 1)
    expect(refusal(() => read(path)).message).toBe(
      `the handle "${path}" is damaged: it is larger than 512 KiB`,
    )
  })

  test('one of another version', () => {
    const path = put('{"version":2}')
    expect(refusal(() => read(path))).toEqual({
      code: 'usage',
      message: `the handle "${path}" is of version 2, and this leash reads version 1`,
      wayOut: 'use it with the leash that made it',
    })
  })
})

test('the largest lease there can be fits into a handle', () => {
  const name = '"'.repeat(1000)
  const locks = Array.from({length: mostLocks}, () => ({
    name,
    queuePrefix: `${name}/`,
    markKey: `${name}/held`,
    key: `${name}/7fffffffffffffff`,
    createRevision: 1n,
  }))
  const [first, ...others] = locks
  if (first === undefined) throw new Error('no lock')
  const handle = {...fullHandle, locks: [first, ...others]} as const
  expect(read(createHandle(directory, handle))).toEqual(handle)
  expect(readFileSync(join(directory, '7fffffffffffffff')).length).toBeGreaterThan(128 * 1024)
})
