import {execFileSync} from 'node:child_process'
import {chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {isAlive} from '../support/processes.ts'
import {pause, until} from '../support/wait.ts'
import {StatusFile} from './support/StatusFile.ts'
import {TestLock} from './support/TestLock.ts'
import {asAnotherUser, environmentOfAnother, isRoot} from './support/anotherUser.ts'
import {Leash, leash} from './support/leash.ts'

let etcd: EtcdServer
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
})
afterAll(() => etcd[Symbol.asyncDispose]())

/** With a perl that makes root of whoever starts it; on a file system that lets it. */
let directory: string
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'leash-unkillable-'))
  chmodSync(directory, 0o755)
})
afterEach(() => rmSync(directory, {recursive: true}))
const rootPerl = (): string => {
  const copy = path.join(directory, 'perl')
  copyFileSync(execFileSync('perl', ['-e', 'print $^X'], {encoding: 'utf8'}), copy)
  chmodSync(copy, 0o4755)
  return copy
}
const endFile = (): string => path.join(directory, 'end')
const isRootFile = (): string => path.join(directory, 'is-root')
/**
 * Becomes root, so that who started it may not signal it any more, says so, and runs until it is told to end. Perl takes no
 * file name from whom it does not run as: hence the match.
 */
const becomesRoot =
  '$< = $> = 0; $| = 1; print "root $$\\n"; $ARGV[1] =~ /(.*)/ && open F, ">", $1; select(undef, undef, undef, 0.02) until -e $ARGV[0]'
const job = (): string[] => [rootPerl(), '-e', becomesRoot, endFile(), isRootFile()]
/** Leaves the rest of its arguments behind, when that is root. */
const leavesBehind = '"$@" & until [ -e "$0" ]; do sleep 0.02; done; exit 3'

const ttlMs = 2000
const start = (url: string, file: StatusFile, {name}: TestLock, command: string[]): Leash => {
  chmodSync(file.directory, 0o777)
  const options = ['-l', name, '--ttl', `${ttlMs}ms`, '--endpoints', url, '--status-file', file.path]
  return new Leash(['run', ...options, '--', ...command], {through: asAnotherUser, env: environmentOfAnother})
}
const pidOf = async (run: Leash): Promise<number> =>
  Number((await run.says(/root \d+\n/)).slice('root '.length))
const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0

describe.skipIf(!isRoot)('a process of the job that leash may not kill (needs root to make one)', () => {
  test('is told of once, and the lock is kept until it has ended by itself', async () => {
    using file = new StatusFile()
    const lock = new TestLock(etcd)
    await using run = start(etcd.url, file, lock, ['sh', '-c', leavesBehind, isRootFile(), ...job()])
    const pid = await pidOf(run)
    const line = await run.says(/^.*cannot be killed.*\n/m, 'stderr')
    expect(line).toContain(`(pid ${pid})`)
    const ticket = await lock.ticket()
    // Longer than a lease that nobody renews.
    await pause(2 * ttlMs)
    expect(isAlive(pid)).toBe(true)
    expect(await lock.ticket()).toBe(ticket)
    const other = await leash(['run', '-n', '-l', lock.name, 'true'], {env: {LEASH_ENDPOINTS: etcd.url}})
    expect(other.status).toBe(75)
    expect(run.hasEnded).toBe(false)
    writeFileSync(endFile(), '')
    const {status, stderr} = await run.end()
    expect(status).toBe(3)
    expect(count(stderr, /cannot be killed/g)).toBe(1)
    expect(stderr).not.toContain('OVERLAP')
    expect(file.report()).toMatchObject({outcome: 'ended', code: 3, leftovers: true, possibleOverlap: false})
    await lock.isFree()
  })

  test('may overlap with another job when etcd is out of reach, and that is said in so many words', async () => {
    using file = new StatusFile()
    const lock = new TestLock(etcd)
    await using link = await TcpProxy.to(etcd)
    await using run = start(link.url, file, lock, job())
    const pid = await pidOf(run)
    link.blackhole()
    await run.says(/cannot be killed/, 'stderr')
    await run.says(/POSSIBLE OVERLAP: the lease has run out/, 'stderr')
    await until('the lease to run out', async () => (await lock.queueLength()) === 0, {withinMs: 10_000})
    expect(isAlive(pid)).toBe(true)
    writeFileSync(endFile(), '')
    const {status, stderr} = await run.end()
    expect(status).toBe(79)
    expect(count(stderr, /cannot be killed/g)).toBe(1)
    expect(count(stderr, /POSSIBLE OVERLAP: the lease has run out/g)).toBe(1)
    expect(stderr).toMatch(/the lease was lost .* and the job was ended; POSSIBLE OVERLAP: .*\n$/)
    expect(file.report()).toMatchObject({outcome: 'lost', cause: 'unconfirmed', possibleOverlap: true})
  })
})
