import {execFileSync} from 'node:child_process'
import {chmodSync, chownSync, mkdirSync, symlinkSync, truncateSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, test} from 'vitest'
import {readTrustedFile} from '../../../src/lib/config/trustedFile.ts'
import {asOrdinaryUser, refusal, strangerUid, TemporaryWorld} from './temporaryWorld.ts'

const readAs = (world: TemporaryWorld, path: string) => readTrustedFile(path, world.uid, 'system')

describe('reads', () => {
  test.each([0o400, 0o440, 0o600, 0o644, 0o755])('a file of mode %o', (mode) => {
    using world = new TemporaryWorld()
    const path = world.systemFile('text')
    chmodSync(path, mode)
    expect(readAs(world, path)).toBe('text')
  })

  test('nothing where there is no file, no directory, or a file in place of the directory', () => {
    using world = new TemporaryWorld()
    const file = world.systemFile('text')
    expect(readAs(world, join(world.systemDirectory, 'other.env'))).toBeUndefined()
    expect(readAs(world, join(world.root, 'none/leash.env'))).toBeUndefined()
    expect(readAs(world, join(file, 'leash.env'))).toBeUndefined()
  })

  test("the user's own file, and root's, as any user", () => {
    using world = new TemporaryWorld()
    const path = world.userFile('text')
    const owner = world.uid === 0 ? strangerUid : world.uid
    chownSync(path, owner, -1)
    chownSync(world.userDirectory, owner, -1)
    expect(readTrustedFile(path, owner, 'user')).toBe('text')
    expect(readTrustedFile('/etc/passwd', strangerUid, 'system')).toContain('root')
  })

  test('through a symbolic link whose directory and target are trusted', () => {
    using world = new TemporaryWorld()
    const target = world.write(join(world.root, 'dotfiles/leash.env'), 'text')
    world.directory(world.systemDirectory)
    const link = join(world.systemDirectory, 'leash.env')
    symlinkSync(target, link)
    expect(readAs(world, link)).toBe('text')
  })
})

describe('refuses, with the path and the way out,', () => {
  test.each([0o664, 0o646, 0o620, 0o602, 0o777])('a file of mode %o', (mode) => {
    using world = new TemporaryWorld()
    const path = world.systemFile('text')
    chmodSync(path, mode)
    expect(refusal(() => readAs(world, path))).toEqual({
      code: 'config',
      message: `${path} can be written by others than its owner`,
      wayOut: `check what is in it, then: chmod go-w ${path}`,
    })
  })

  test.each([0o775, 0o757, 0o1777])('a file in a directory of mode %o', (mode) => {
    using world = new TemporaryWorld()
    const path = world.systemFile('text')
    chmodSync(world.systemDirectory, mode)
    expect(refusal(() => readAs(world, path))).toEqual({
      code: 'config',
      message: `${world.systemDirectory} can be written by others than its owner, so others could replace leash.env`,
      wayOut: `check what is in it, then: chmod go-w ${world.systemDirectory}`,
    })
  })

  test('a link that points into a directory where others can write', () => {
    using world = new TemporaryWorld()
    const open = join(world.root, 'open')
    const target = world.write(join(open, 'target.env'), 'text')
    chmodSync(open, 0o777)
    world.directory(world.systemDirectory)
    const link = join(world.systemDirectory, 'leash.env')
    symlinkSync(target, link)
    expect(refusal(() => readAs(world, link)).message).toContain(`${open} can be written by others`)
  })

  test('a link that stands in a directory where others can write', () => {
    using world = new TemporaryWorld()
    const target = world.write(join(world.root, 'safe/leash.env'), 'text')
    world.directory(world.systemDirectory)
    const link = join(world.systemDirectory, 'leash.env')
    symlinkSync(target, link)
    chmodSync(world.systemDirectory, 0o777)
    expect(refusal(() => readAs(world, link)).message).toContain(
      `${world.systemDirectory} can be written by others`,
    )
  })

  test('a file that belongs to neither root nor the user', () => {
    using world = new TemporaryWorld()
    const path = world.systemFile('text')
    // Only root can give a file away; anybody else looks at its own file as another user.
    const [owner, reader] = world.uid === 0 ? [strangerUid, 0] : [world.uid, strangerUid]
    chownSync(path, owner, -1)
    expect(refusal(() => readTrustedFile(path, reader, 'system'))).toEqual({
      code: 'config',
      message: `${path} belongs to uid ${owner}, who is neither root nor you`,
      wayOut: `check what is in it, then: chown root ${path}`,
    })
    expect(refusal(() => readTrustedFile(path, reader, 'user')).wayOut).toContain(`chown ${reader} ${path}`)
  })

  test.runIf(process.geteuid?.() === 0)(
    'a file in a directory that belongs to neither root nor the user',
    () => {
      using world = new TemporaryWorld()
      const path = world.systemFile('text')
      chownSync(world.systemDirectory, strangerUid, -1)
      expect(refusal(() => readAs(world, path)).message).toBe(
        `${world.systemDirectory} belongs to uid ${strangerUid}, who is neither root nor you, so others could replace leash.env`,
      )
    },
  )

  test('a directory and a named pipe, without waiting for a writer', () => {
    using world = new TemporaryWorld()
    world.directory(world.systemDirectory)
    const directory = join(world.systemDirectory, 'directory.env')
    const pipe = join(world.systemDirectory, 'pipe.env')
    mkdirSync(directory)
    execFileSync('mkfifo', [pipe])
    expect(refusal(() => readAs(world, directory)).message).toBe(`${directory} is not a regular file`)
    expect(refusal(() => readAs(world, pipe)).message).toBe(`${pipe} is not a regular file`)
  })

  test('a file that is far too large', () => {
    using world = new TemporaryWorld()
    const path = world.systemFile('')
    truncateSync(path, 64 * 1024)
    expect(readAs(world, path)).toHaveLength(64 * 1024)
    truncateSync(path, 64 * 1024 + 1)
    expect(refusal(() => readAs(world, path)).message).toBe(`${path} is larger than 64 KiB`)
  })

  test('a file that is there and cannot be read', () => {
    using world = new TemporaryWorld()
    chmodSync(world.root, 0o755)
    const path = world.systemFile('text')
    chmodSync(path, 0)
    for (const place of ['user', 'system'] as const)
      expect(refusal(() => asOrdinaryUser(() => readTrustedFile(path, world.uid, place)))).toMatchObject({
        code: 'config',
        message: `${path} cannot be read: permission denied`,
      })
  })

  test('a loop of links', () => {
    using world = new TemporaryWorld()
    const path = join(world.directory(world.systemDirectory), 'leash.env')
    symlinkSync(path, path)
    expect(refusal(() => readAs(world, path)).message).toBe(`${path} cannot be read: ELOOP`)
  })

  test('with a command that survives blanks and quotes in the path', () => {
    using world = new TemporaryWorld()
    const path = world.write(join(world.root, "it's here/leash.env"), 'text')
    chmodSync(path, 0o666)
    const command = refusal(() => readAs(world, path)).wayOut.replace('check what is in it, then: ', '')
    execFileSync('sh', ['-c', command])
    expect(readAs(world, path)).toBe('text')
  })
})

test('takes a home that is hidden from this process as having no file, but not a system directory', () => {
  using world = new TemporaryWorld()
  chmodSync(world.root, 0o755)
  const path = world.systemFile('text')
  chmodSync(world.systemDirectory, 0o700)
  if (world.uid !== 0) chmodSync(world.systemDirectory, 0)
  try {
    expect(asOrdinaryUser(() => readTrustedFile(path, world.uid, 'user'))).toBeUndefined()
    expect(refusal(() => asOrdinaryUser(() => readTrustedFile(path, world.uid, 'system'))).message).toBe(
      `${path} cannot be read: permission denied`,
    )
  } finally {
    chmodSync(world.systemDirectory, 0o755)
  }
})
