import {execFileSync, spawnSync} from 'node:child_process'
import {chmodSync, chownSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest'
import {prepareHandleDirectory} from '../../../src/lib/handle/handleDirectory.ts'
import {asOrdinaryUser, refusal, strangerUid, TemporaryWorld} from '../config/temporaryWorld.ts'

const isRoot = process.geteuid?.() === 0
/** What unshare(1) runs so that a directory is mounted read-only, in front of a command. */
const withReadOnly = (path: string) => [
  ...['--mount', 'sh', '-c'],
  'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"',
  path,
]
const canMount = isRoot && spawnSync('unshare', [...withReadOnly('/tmp'), 'true']).status === 0

let world: TemporaryWorld
let home: string
let temporary: string
beforeEach(() => {
  world = new TemporaryWorld()
  home = world.directory(world.home)
  temporary = world.directory(join(world.root, 'tmp'))
  chmodSync(temporary, 0o1777)
})
afterEach(() => world[Symbol.dispose]())

const prepare = (owner: {uid?: number; home?: string | undefined} = {}) =>
  prepareHandleDirectory({uid: world.uid, home, ...owner}, temporary)
const modeOf = (path: string) => (statSync(path).mode & 0o7777).toString(8)

const inHome = ['.local', '.local/state', '.local/state/leash', '.local/state/leash/handles']
const own = `leash-${process.geteuid?.()}`
const inTemporary = [own, `${own}/handles`]

describe('makes', () => {
  test('a directory in the home that nobody else can even look into', () => {
    expect(prepare()).toBe(join(home, '.local/state/leash/handles'))
    for (const name of inHome) expect(modeOf(join(home, name)), name).toBe('700')
    expect(readdirSync(temporary)).toEqual([])
  })

  test('the same one whatever HOME, XDG_STATE_HOME and TMPDIR say, and again', () => {
    for (const name of ['HOME', 'XDG_STATE_HOME', 'TMPDIR']) vi.stubEnv(name, join(world.root, 'elsewhere'))
    try {
      expect(prepare()).toBe(join(home, '.local/state/leash/handles'))
      expect(prepare()).toBe(join(home, '.local/state/leash/handles'))
    } finally {
      vi.unstubAllEnvs()
    }
  })

  test('only what is missing, and leaves alone how others read what was there', () => {
    const state = join(home, '.local/state')
    mkdirSync(state, {recursive: true})
    chmodSync(state, 0o755)
    prepare()
    expect(modeOf(state)).toBe('755')
  })

  test('it behind a link to the home, by its own name', () => {
    const link = join(world.root, 'link')
    symlinkSync(home, link)
    expect(prepare({home: link})).toBe(join(home, '.local/state/leash/handles'))
  })

  describe('one in /tmp for a user', () => {
    const noHome: [string, () => string | undefined][] = [
      ['without a home', () => undefined],
      ['whose home does not exist', () => join(world.root, 'nowhere')],
      ['whose home is a file', () => world.write(join(world.root, 'file'), '')],
      ['whose home a group can write', () => (chmodSync(home, 0o775), home)],
      ['whose home everybody can write', () => (chmodSync(home, 0o1777), home)],
    ]
    test.each(noHome)('%s', (_, find) => {
      expect(prepare({home: find()})).toBe(join(temporary, `leash-${world.uid}/handles`))
      for (const name of inTemporary) expect(modeOf(join(temporary, name)), name).toBe('700')
      expect(readdirSync(home)).toEqual([])
    })

    test("whose home is root's, or another user's", () => {
      const uid = isRoot ? strangerUid : world.uid
      const anothers = isRoot ? home : '/'
      chmodSync(world.root, 0o755)
      const made = asOrdinaryUser(() => prepare({uid, home: anothers}))
      expect(made).toBe(join(temporary, `leash-${uid}/handles`))
    })

    test.skipIf(!canMount)('whose home is on a file system that is mounted read-only', () => {
      const script = `
        import {prepareHandleDirectory} from './src/lib/handle/handleDirectory.ts'
        const [home, temporary] = process.argv.slice(1)
        console.log(prepareHandleDirectory({uid: 0, home}, temporary))`
      const node = ['node', '--import', 'tsx', '--input-type=module', '-e', script, home, temporary]
      expect(execFileSync('unshare', [...withReadOnly(home), ...node]).toString()).toBe(
        `${join(temporary, 'leash-0/handles')}\n`,
      )
    })

    test('whose home is not to be written', () => {
      const uid = isRoot ? strangerUid : world.uid
      chmodSync(world.root, 0o755)
      chmodSync(home, 0o555)
      chownSync(home, uid, -1)
      expect(asOrdinaryUser(() => prepare({uid}))).toBe(join(temporary, `leash-${uid}/handles`))
    })
  })
})

describe('refuses, with the path and the way out,', () => {
  /** Both ways, and each directory on them: what is made there, and whom else it lets in. */
  const steps = [
    ...inHome.map((name) => ({name, path: () => join(home, name), owner: () => ({home})})),
    ...inTemporary.map((name) => ({
      name,
      path: () => join(temporary, name),
      owner: () => ({home: undefined}),
    })),
  ]
  const isOurs = (name: string) => name.includes('leash')

  test.each(steps)('a link in place of $name, though its target is as it should be', ({path, owner}) => {
    const target = world.directory(join(world.root, 'target'))
    chmodSync(target, 0o700)
    mkdirSync(dirname(path()), {recursive: true, mode: 0o700})
    symlinkSync(target, path())
    expect(refusal(() => prepare(owner()))).toEqual({
      code: 'config',
      message: `${path()} is a symbolic link, and handles need a directory there`,
      wayOut: 'remove it, or put a directory of your own in its place',
    })
    expect(readdirSync(target)).toEqual([])
  })

  test.each(steps)('a file in place of $name', ({path, owner}) => {
    mkdirSync(dirname(path()), {recursive: true, mode: 0o700})
    writeFileSync(path(), '')
    expect(refusal(() => prepare(owner())).message).toBe(
      `${path()} is no directory, and handles need a directory there`,
    )
  })

  test.runIf(isRoot).each(steps)('$name of another user, who was quicker', ({path, owner}) => {
    mkdirSync(path(), {recursive: true, mode: 0o700})
    chownSync(path(), strangerUid, -1)
    expect(refusal(() => prepare(owner()))).toEqual({
      code: 'config',
      message: `${path()} belongs to uid ${strangerUid} and not to you, so the handles in it could be forged`,
      wayOut: `check what is in it, then, as root: chown ${world.uid} ${path()}`,
    })
  })

  test.each(steps)('$name that others can write', ({name, path, owner}) => {
    for (const mode of [0o770, 0o707, 0o1777]) {
      mkdirSync(path(), {recursive: true, mode: 0o700})
      chmodSync(path(), mode)
      const {message, wayOut} = refusal(() => prepare(owner()))
      const could = isOurs(name) ? 'read or replaced' : 'replaced'
      expect(message).toBe(`${path()} is open to others, so the handles in it could be ${could}`)
      expect(wayOut).toBe(`check what is in it, then: chmod ${isOurs(name) ? 'go-rwx' : 'go-w'} ${path()}`)
    }
  })

  test.each(steps.filter(({name}) => isOurs(name)))('$name that others can look into', ({path, owner}) => {
    mkdirSync(path(), {recursive: true, mode: 0o700})
    chmodSync(path(), 0o750)
    expect(refusal(() => prepare(owner())).message).toContain(`${path()} is open to others`)
  })

  test.each<[string, () => void]>([
    ['is not sticky', () => chmodSync(temporary, 0o777)],
    ['is not there', () => (temporary = join(world.root, 'nowhere'))],
    ['is a file', () => (temporary = world.write(join(world.root, 'file'), ''))],
  ])('a /tmp that %s, where that is needed', (_, spoil) => {
    spoil()
    expect(refusal(() => prepare({home: undefined}))).toEqual({
      code: 'config',
      message: `this user has no home directory of its own to write to, and ${temporary} is no sticky directory of root`,
      wayOut: `give this user a home directory, or repair the other: chmod 1777 ${temporary}`,
    })
    expect(prepare()).toContain(home)
  })

  test.runIf(isRoot)("a /tmp that is another user's", () => {
    chownSync(temporary, strangerUid, -1)
    expect(refusal(() => prepare({home: undefined})).message).toContain(
      `${temporary} is no sticky directory of root`,
    )
  })

  test('a directory that cannot be made', () => {
    const uid = isRoot ? strangerUid : world.uid
    chmodSync(world.root, 0o755)
    chownSync(home, uid, -1)
    mkdirSync(join(home, '.local'))
    chownSync(join(home, '.local'), uid, -1)
    chmodSync(join(home, '.local'), 0o500)
    expect(asOrdinaryUser(() => refusal(() => prepare({uid})))).toEqual({
      code: 'config',
      message: `the directory ${join(home, '.local/state')} for handles cannot be made: EACCES`,
      wayOut: `let this user write into ${join(home, '.local')}`,
    })
  })
})
