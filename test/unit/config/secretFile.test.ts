import {execFileSync} from 'node:child_process'
import {chmodSync, chownSync, truncateSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, test} from 'vitest'
import {readSecretFile} from '../../../src/lib/config/secretFile.ts'
import {asOrdinaryUser, refusal, strangerUid, TemporaryWorld} from './temporaryWorld.ts'

const write = (world: TemporaryWorld, text: string, mode = 0o600): string => {
  const path = world.write(join(world.root, 'secret'), text)
  chmodSync(path, mode)
  return path
}

test.each([0o400, 0o600, 0o700])('a secret is read from a file of mode %o', (mode) => {
  using world = new TemporaryWorld()
  expect(readSecretFile(write(world, ' pass word \n', mode), world.uid)).toBe(' pass word ')
})

describe('refused, with the path and the way out, is', () => {
  test.each([0o640, 0o604, 0o620, 0o601, 0o644])('a file of mode %o', (mode) => {
    using world = new TemporaryWorld()
    const path = write(world, 'pw', mode)
    expect(refusal(() => readSecretFile(path, world.uid))).toEqual({
      code: 'config',
      message: `${path} holds a password and is open to others than its owner`,
      wayOut: `change the password if they may have read it, then: chmod go= ${path}`,
    })
  })

  test.each([
    ['', 'is empty'],
    ['\n', 'is empty'],
    ['pw\nmore\n', 'is not one line of text'],
    ['pw\0', 'is not one line of text'],
  ])('a file that holds %j', (text, rule) => {
    using world = new TemporaryWorld()
    const path = write(world, text)
    expect(refusal(() => readSecretFile(path, world.uid)).message).toBe(`${path} ${rule}`)
  })

  test('a file that is not UTF-8', () => {
    using world = new TemporaryWorld()
    const path = write(world, '')
    execFileSync('sh', ['-c', String.raw`printf 'p\377' > "$0"`, path])
    expect(refusal(() => readSecretFile(path, world.uid)).message).toBe(`${path} is not one line of text`)
  })

  test('a file of more than 4 KiB', () => {
    using world = new TemporaryWorld()
    const path = write(world, '')
    truncateSync(path, 4097)
    expect(refusal(() => readSecretFile(path, world.uid)).message).toBe(`${path} is larger than 4 KiB`)
  })

  test('what is no file, without waiting for somebody who writes', () => {
    using world = new TemporaryWorld()
    const pipe = join(world.root, 'pipe')
    execFileSync('mkfifo', ['-m', '600', pipe])
    for (const path of [pipe, world.root])
      expect(refusal(() => readSecretFile(path, world.uid)).message).toBe(`${path} is not a regular file`)
  })

  test('what is not there, or may not be read', () => {
    using world = new TemporaryWorld()
    const path = join(world.root, 'none')
    expect(refusal(() => readSecretFile(path, world.uid)).message).toBe(`${path} cannot be read: ENOENT`)
    expect(asOrdinaryUser(() => refusal(() => readSecretFile('/etc/shadow', strangerUid))).message).toBe(
      '/etc/shadow cannot be read: EACCES',
    )
  })

  test.skipIf(process.geteuid?.() !== 0)("a stranger's file", () => {
    using world = new TemporaryWorld()
    const path = write(world, 'pw')
    chownSync(path, strangerUid, -1)
    expect(refusal(() => readSecretFile(path, 0))).toMatchObject({
      code: 'config',
      message: `${path} belongs to uid ${strangerUid}, who is neither root nor you, and so knows the password`,
    })
  })
})
