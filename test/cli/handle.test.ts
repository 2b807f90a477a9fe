import {chmodSync, chownSync, copyFileSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, afterEach, describe, expect, test} from 'vitest'
import {leaseHex} from '../../src/lib/core/identifiers.ts'
import {bootTime} from '../../src/lib/handle/bootTime.ts'
import {keysUnder, revoke, timeToLive} from '../support/etcdGateway.ts'
import {scratchDirectory} from '../support/scratch.ts'
import {strangerUid} from '../unit/config/temporaryWorld.ts'
import {handleAt} from './support/Script.ts'
import {isRoot} from './support/anotherUser.ts'
import {type Ended, leash} from './support/leash.ts'
import {nothingLeft} from './support/nothingLeft.ts'
import {useEtcd} from './support/useEtcd.ts'

/* Locks without a keeper: each renewal is a command of its own. */

const etcd = useEtcd()
afterEach(() => etcd.empty())
const directory = scratchDirectory('handle')
afterAll(() => rmSync(directory, {recursive: true}))

/** Runs a command with this handle in its environment. */
const by = (handle: string, ...args: string[]): Promise<Ended> =>
  leash(args, {env: {LEASH_ENDPOINTS: 'http://127.0.0.1:1', LEASH_HANDLE: handle}})

const acquire = async (...options: string[]): Promise<string> => {
  const {status, stdout, stderr} = await leash(['acquire', 'x', ...options], {
    env: {LEASH_ENDPOINTS: etcd.url},
  })
  expect({status, stderr}).toEqual({status: 0, stderr: ''})
  return stdout.trim()
}
const silent = {status: 0, stdout: '', stderr: ''}

describe('a handle', () => {
  test('is of the etcd that it was taken at, wherever the environment points', async () => {
    const handle = await acquire('--ttl', '60s')
    expect(await by(handle, 'check')).toEqual(silent)
    expect(await by(handle, 'renew')).toEqual(silent)
    expect(await by(handle, 'release')).toEqual(silent)
    await nothingLeft(etcd)
  })

  test('can be named by an option, and relative to where one is', async () => {
    const handle = await acquire('--ttl', '60s')
    const options = {cwd: path.dirname(handle), env: {LEASH_HANDLE: '/nowhere'}}
    expect(await leash(['release', '--handle', path.basename(handle)], options)).toEqual(silent)
    await nothingLeft(etcd)
  })

  test('gives back its own lock only, and once: somebody who has it since keeps it', async () => {
    const handle = await acquire('--ttl', '60s')
    expect(await by(handle, 'release')).toEqual(silent)
    const other = await acquire('--ttl', '60s')
    expect(await by(handle, 'release')).toEqual(silent)
    expect(await by(handle, 'check')).toMatchObject({
      status: 1,
      stderr: 'leash: x: not held, or not for long enough: it was given back; stop what relies on the lock\n',
    })
    expect(await by(handle, 'renew')).toMatchObject({
      status: 79,
      stderr: 'leash: x: not renewed: it was given back; stop what relies on the lock\n',
    })
    expect(await by(other, 'check')).toEqual(silent)
  })

  test('whose lease was revoked says so with 1 to check and with 79 to renew and release, again and again', async () => {
    const handle = await acquire('--ttl', '60s')
    await revoke(etcd.url, leaseHex(handleAt(handle).lease))
    const gone =
      'the ticket is gone (it was deleted, or its lease revoked or expired); stop what relies on the lock\n'
    expect(await by(handle, 'check')).toMatchObject({
      status: 1,
      stderr: `leash: x: not held, or not for long enough: ${gone}`,
    })
    for (let time = 1; time <= 2; time++) {
      expect(await by(handle, 'renew')).toMatchObject({status: 79, stderr: `leash: x: not renewed: ${gone}`})
      const {status, stderr} = await by(handle, 'release')
      expect(status).toBe(79)
      expect(stderr).toMatch(
        /^leash: x: the lock had already ended, so not all that was done under it was protected: the ticket (is|was) gone .*; check what was done\n$/,
      )
    }
  })

  test('of another boot is no lock any more, but its ticket is taken away', async () => {
    const handle = await acquire('--ttl', '60s')
    const old = path.join(directory, 'old')
    const text = readFileSync(handle, 'utf8')
    writeFileSync(old, text.replace(/"bootId":"[^"]*"/, '"bootId":"another"'), {mode: 0o600})
    const anew = 'the machine was started anew, or it is another one'
    expect(await by(old, 'renew')).toMatchObject({
      status: 79,
      stderr: `leash: x: not renewed: ${anew}; stop what relies on the lock\n`,
    })
    expect((await by(old, 'check')).status).toBe(1)
    expect(await keysUnder(etcd.url, '')).toHaveLength(2)
    const released = await by(old, 'release')
    expect(released.status).toBe(79)
    expect(released.stderr).toContain(anew)
    await nothingLeft(etcd)
  })

  test('of another boot leaves its ticket to a lock-delay', async () => {
    const handle = await acquire('--ttl', '30s', '--lock-delay', '30s')
    const old = path.join(directory, 'delayed')
    const text = readFileSync(handle, 'utf8')
    writeFileSync(old, text.replace(/"bootId":"[^"]*"/, '"bootId":"another"'), {mode: 0o600})
    expect((await by(old, 'release')).status).toBe(79)
    expect(await keysUnder(etcd.url, '')).toHaveLength(2)
  })
})

describe('renew', () => {
  test('counts the life of the lease anew', async () => {
    const handle = await acquire('--ttl', '60s')
    const {sentAtBootMs, lease} = handleAt(handle)
    expect(await by(handle, 'renew')).toEqual(silent)
    expect(handleAt(handle).sentAtBootMs).toBeGreaterThan(sentAtBootMs)
    // Not a moment longer than etcd does.
    expect(handleAt(handle).sentAtBootMs).toBeLessThanOrEqual(bootTime().bootMs)
    expect((await timeToLive(etcd.url, leaseHex(lease))).remainingS).toBeGreaterThanOrEqual(58)
  })

  test.each(['check', 'renew'])(
    'and %s say 69 when etcd is out of reach, and nothing is lost',
    async (command) => {
      const handle = await acquire('--ttl', '60s')
      const options = ['--endpoints', 'http://127.0.0.1:1', '--connect-timeout', '300ms']
      const {status, stderr} = await by(handle, command, ...options)
      expect(status).toBe(69)
      expect(stderr).toMatch(
        /^leash: x: (?:etcd cannot be reached|the lease has not been confirmed): http:\/\/127.0.0.1:1: connect ECONNREFUSED; check the endpoints and the network\n$/,
      )
      expect(await by(handle, command)).toEqual(silent)
    },
  )
})

describe('check', () => {
  test('says as JSON what is known, and how long it is good for', async () => {
    const handle = await acquire('--ttl', '60s')
    const {status, stdout} = await by(handle, 'check', '--json', '--for', '50s')
    expect(status).toBe(0)
    const {leftMs, ...rest} = JSON.parse(stdout) as {leftMs: number}
    expect(rest).toEqual({handle, locks: ['x'], held: true})
    expect(leftMs).toBeGreaterThan(50_000)
    expect(leftMs).toBeLessThanOrEqual(59_400)
  })

  test('says no as JSON, too', async () => {
    const handle = await acquire('--ttl', '60s')
    await by(handle, 'release')
    const {status, stdout} = await by(handle, 'check', '--json')
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).toEqual({handle, locks: ['x'], held: false, reason: 'it was given back'})
  })

  test('says no when less is left than is asked for; after a renewal it is yes', async () => {
    const handle = await acquire('--ttl', '30s')
    // As if the lease had been renewed 10 s ago.
    const earlier = {
      ...(JSON.parse(readFileSync(handle, 'utf8')) as object),
      sentAtBootMs: handleAt(handle).sentAtBootMs - 10_000,
    }
    writeFileSync(handle, JSON.stringify(earlier))
    const {status, stderr} = await by(handle, 'check', '--for', '20s')
    expect(status).toBe(1)
    expect(stderr).toMatch(
      /^leash: x: not held, or not for long enough: it is good for 19(\.\d)? s only; stop/,
    )
    expect(await by(handle, 'renew')).toEqual(silent)
    expect(await by(handle, 'check', '--for', '20s')).toEqual(silent)
  })

  test('says no when the lease may have run out by our clock, though etcd has its ticket', async () => {
    const handle = await acquire('--ttl', '30s')
    const old = {
      ...(JSON.parse(readFileSync(handle, 'utf8')) as object),
      sentAtBootMs: Math.max(0, handleAt(handle).sentAtBootMs - 40_000),
    }
    writeFileSync(handle, JSON.stringify(old))
    const {status, stderr} = await by(handle, 'check')
    expect(status).toBe(1)
    expect(stderr).toContain('no renewal was confirmed for too long')
  })

  test('refuses to look further ahead than a lease can reach', async () => {
    const handle = await acquire('--ttl', '30s')
    expect(await by(handle, 'check', '--for', '30s')).toMatchObject({
      status: 64,
      stderr:
        'leash: x: --for 30 s is more than the 29.7 s that a renewal of this lease is good for; ask for less, or take the lock with a longer --ttl\n',
    })
  })
})

describe.each(['check', 'renew', 'release'])('%s refuses', (command) => {
  /** A file that is like a handle but for one thing. */
  const copy = async (change: (file: string) => void): Promise<{file: string; end: Ended}> => {
    const file = path.join(directory, 'copy')
    rmSync(file, {force: true})
    copyFileSync(await acquire('--ttl', '60s'), file)
    chmodSync(file, 0o600)
    change(file)
    return {file, end: await by(file, command)}
  }
  const edit =
    (from: string | RegExp, to: string) =>
    (file: string): void =>
      writeFileSync(file, readFileSync(file, 'utf8').replace(from, to))

  test.each<[what: string, change: (file: string) => void, says: string]>([
    [
      'one that others can read',
      (file) => chmodSync(file, 0o644),
      'is open to others than its owner; take the lock',
    ],
    ['one that is damaged', edit(/}\n$/, ''), 'is damaged: it is not whole JSON; remove it'],
    [
      'one of another version',
      edit('"version":1', '"version":2'),
      'is of version 2, and this leash reads version 1; use it',
    ],
    [
      'a link',
      (file) => {
        rmSync(file)
        symlinkSync('/dev/null', file)
      },
      'is a symbolic link; name the file itself',
    ],
  ])('%s', async (_, change, says) => {
    const {file, end} = await copy(change)
    expect(end).toMatchObject({status: 64, stdout: ''})
    expect(end.stderr).toContain(`leash: the handle "${file}" ${says}`)
    expect(end.stderr.split('\n')).toHaveLength(2)
    expect(await keysUnder(etcd.url, '')).toHaveLength(2)
  })

  test.skipIf(!isRoot)("another user's", async () => {
    const {end} = await copy((file) => chownSync(file, strangerUid, strangerUid))
    expect(end.status).toBe(64)
    expect(end.stderr).toContain(`belongs to uid ${strangerUid} and not to you`)
    expect(await keysUnder(etcd.url, '')).toHaveLength(2)
  })
})
