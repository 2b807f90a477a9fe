import {chmodSync, mkdirSync, readdirSync, statSync, symlinkSync} from 'node:fs'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest'
import {type Machine, type Place, localPlace} from '../../../src/lib/local/place.ts'
import {asOrdinaryUser, refusal, strangerUid, TemporaryWorld} from '../config/temporaryWorld.ts'

const ext4 = 0xef53
const machine: Machine = {id: '3d1219c7c4c5404aaa1f6d2a48adfda4', fileSystemOf: () => ext4}

let world: TemporaryWorld
let home: string
beforeEach(() => {
  world = new TemporaryWorld()
  home = world.directory(world.home)
})
afterEach(() => world[Symbol.dispose]())

const place = (owner: {uid?: number; home?: string | undefined} = {}, on: Machine = machine): Place =>
  localPlace({uid: world.uid, home, ...owner}, on)
const state = (): string => join(home, '.local/state/leash')

describe('the place of an engine', () => {
  test('is in the home, and nobody else can look into it', () => {
    const {directory, socketPath} = place()
    expect(directory).toMatch(new RegExp(`^${state()}/local-[0-9a-f]{16}$`))
    expect(socketPath).toBe(`${directory}/socket`)
    expect((statSync(directory).mode & 0o7777).toString(8)).toBe('700')
  })

  test('is the same whatever HOME and XDG say, and by whatever link the home is found', () => {
    const first = place()
    for (const name of ['HOME', 'XDG_STATE_HOME', 'XDG_RUNTIME_DIR', 'TMPDIR'])
      vi.stubEnv(name, join(world.root, 'elsewhere'))
    try {
      expect(place()).toEqual(first)
    } finally {
      vi.unstubAllEnvs()
    }
    const link = join(world.root, 'link')
    symlinkSync(home, link)
    expect(place({home: link})).toEqual(first)
  })

  test("is another one on another machine, and does not tell the machine's id", () => {
    const names = [machine.id, 'f'.repeat(32), undefined].map((id) => place({}, {...machine, id}).directory)
    expect(new Set(names).size).toBe(3)
    expect(names[2]).toBe(join(state(), 'local'))
    expect(names[0]).not.toContain(machine.id)
  })

  test.each([
    ['NFS', 0x6969],
    ['CIFS', 0xff534d42],
    ['SMB', 0xfe534d42],
    ['9P', 0x01021997],
    ['FUSE', 0x65735546],
    ['Ceph', 0x00c36400],
    ['Lustre', 0x0bd00bd0],
    ['AFS', 0x5346414f],
  ])('is refused on %s, and nothing is made there', (kind, type) => {
    expect(refusal(() => place({}, {...machine, fileSystemOf: () => type}))).toEqual({
      code: 'config',
      message: `${home} is on a file system that other machines may share (${kind}), and local locks hold on one machine only`,
      wayOut: 'put it on a disk of this machine, or name the members of an etcd in LEASH_ENDPOINTS',
    })
    expect(readdirSync(home)).toEqual([])
  })

  test('is refused where only a part of the home is on a network', () => {
    const {directory} = place()
    const fileSystemOf = (path: string): number => (path === directory ? 0x6969 : ext4)
    expect(refusal(() => place({}, {...machine, fileSystemOf})).message).toContain(`${directory} is on`)
  })

  test('is asked for by the kernel, which knows the file system of this home', () => {
    expect(localPlace({uid: world.uid, home}).directory).toMatch(/\/local(-[0-9a-f]{16})?$/)
  })

  test.each<[string, () => {uid?: number; home?: string | undefined}, string]>([
    ['who has none', () => ({home: undefined}), 'this user has none'],
    ['whose home is missing', () => ({home: '/nonexistent'}), '/nonexistent cannot be used (ENOENT)'],
    ['whose home is none', () => ({home: '/dev/null'}), '/dev/null is no directory'],
    ["whose home is somebody else's", () => ({uid: strangerUid, home: '/'}), '/ belongs to uid 0'],
    [
      'whose home others can write to',
      () => (chmodSync(home, 0o775), {home}),
      'HOME can be written to by others',
    ],
  ])('is in no other place for a user %s', (_, owner, why) => {
    expect(refusal(() => place(owner()))).toEqual({
      code: 'config',
      message: `local locks stand in the home directory, and ${why.replace('HOME', home)}`,
      wayOut:
        'give this user a home directory that only this user can write to, or name the members of an etcd in LEASH_ENDPOINTS',
    })
  })

  test('can be entered by its user, whatever the umask of who comes first', () => {
    const before = process.umask(0o177)
    try {
      const {directory} = place()
      for (const path of [join(home, '.local'), join(home, '.local/state'), state(), directory])
        expect((statSync(path).mode & 0o7777).toString(8)).toBe('700')
    } finally {
      process.umask(before)
    }
  })

  test('is refused when others can look into it', () => {
    const {directory} = place()
    chmodSync(directory, 0o750)
    expect(refusal(() => place())).toEqual({
      code: 'config',
      message: `${directory} is open to others, so the local locks in it could be read or replaced`,
      wayOut: `check what is in it, then: chmod go-rwx ${directory}`,
    })
  })

  test('is refused when it is a link', () => {
    mkdirSync(state(), {recursive: true, mode: 0o700})
    for (const name of ['.local', '.local/state', '.local/state/leash']) chmodSync(join(home, name), 0o700)
    symlinkSync(world.root, join(state(), 'local'))
    expect(refusal(() => place({}, {...machine, id: undefined})).message).toContain('is a symbolic link')
  })

  test('is refused when a socket cannot have its path, also under the name of an engine that is one of many', () => {
    const bytesFor = (homeBytes: number): string =>
      world.directory(join(home, 'x'.repeat(homeBytes - home.length - 1)))
    const below = place().socketPath.length - home.length
    const {socketPath, directory} = place({home: bytesFor(103 - below)})
    expect(socketPath).toHaveLength(103)
    expect(join(directory, 'e999999999')).toHaveLength(107)
    const {code, message, wayOut} = refusal(() => place({home: bytesFor(104 - below)}))
    expect(code).toBe('config')
    expect(message).toMatch(/^the path of the socket .* has 104 bytes, and it may have 103 at most$/)
    expect(wayOut).toContain('give this user a home directory with a shorter path')
  })

  test('is refused in a home that its user cannot write to', () => {
    if (world.uid !== 0) return
    expect(asOrdinaryUser(() => refusal(() => place({uid: strangerUid}))).code).toBe('config')
  })
})
