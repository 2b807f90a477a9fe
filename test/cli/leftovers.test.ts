import {readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import {canContainByCgroup} from '../support/cgroups.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {isAlive} from '../support/processes.ts'
import {scratchDirectory} from '../support/scratch.ts'
import {until} from '../support/wait.ts'
import {TestLock} from './support/TestLock.ts'
import {Leash, leash} from './support/leash.ts'

let etcd: EtcdServer
let env: Record<string, string>
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
  env = {LEASH_ENDPOINTS: etcd.url}
})
afterAll(() => etcd[Symbol.asyncDispose]())

let directory: string
beforeEach(() => {
  directory = scratchDirectory('leftovers')
})
afterEach(() => rmSync(directory, {recursive: true}))

const soon = {withinMs: 10_000}

/** What is left behind, in a session of its own: it ends when told to, or of TERM, and says which. */
const leftover = `
  trap 'echo TERM >"$DIRECTORY/end"; exit' TERM
  echo $$ >"$DIRECTORY/pid"
  until [ -e "$DIRECTORY/told" ]; do sleep 0.02; done
  echo told >"$DIRECTORY/end"`
/** A job that leaves it behind when it runs. */
const job = [
  'sh',
  '-c',
  `echo $$ >"$DIRECTORY/job"; setsid sh -c "$0" >/dev/null 2>&1 & until [ -s "$DIRECTORY/pid" ]; do sleep 0.02; done; exit 3`,
  leftover,
]

const start = ({name}: TestLock, ...options: string[]): Leash =>
  new Leash(['run', '-l', name, ...options, '--', ...job], {env: {...env, DIRECTORY: directory}})
const said = (file: string): string => readFileSync(path.join(directory, file), 'utf8').trim()
const tell = (): void => writeFileSync(path.join(directory, 'told'), '')
/** The process that was left behind. */
const left = async (): Promise<number> => {
  await until('it to run', () => readdirSync(directory).includes('pid') && said('pid') !== '', soon)
  return Number(said('pid'))
}

describe.each([
  ['group', true],
  ['cgroup', canContainByCgroup()],
])('with --contain %s, what the job leaves behind', (containment, isPossible) => {
  const testHere = test.skipIf(!isPossible)
  const contain = ['--contain', containment]

  testHere.each<[string, string[]]>([
    ['if nothing is said', []],
    ['with kill', ['--leftovers', 'kill']],
  ])('is ended before the lock is released, TERM first, and told of: %s', async (_, options) => {
    const lock = new TestLock(etcd)
    await using run = start(lock, ...contain, ...options)
    const {status, stderr} = await run.end()
    expect(status).toBe(3)
    expect(stderr).toMatch(
      new RegExp(`^leash: ${lock.name}: the job left processes behind, which were ended; .*\\n$`),
    )
    expect(said('end')).toBe('TERM')
    await lock.isFree()
  })

  testHere('is waited for with wait: the lock is held until it has ended', async () => {
    const lock = new TestLock(etcd)
    await using run = start(lock, ...contain, '--leftovers', 'wait')
    const pid = await left()
    await until('the job itself to end', () => !isAlive(Number(said('job'))), soon)
    expect((await leash(['run', '-n', '-l', lock.name, 'true'], {env})).status).toBe(75)
    expect(isAlive(pid)).toBe(true)
    tell()
    expect(await run.end()).toEqual({status: 3, stdout: '', stderr: ''})
    expect(said('end')).toBe('told')
    await lock.isFree()
  })

  testHere('goes on with leave, the next holder starts beside it, and one line says so', async () => {
    const lock = new TestLock(etcd)
    await using run = start(lock, ...contain, '--leftovers=leave')
    const pid = await left()
    expect(await run.end()).toEqual({
      status: 3,
      stdout: '',
      stderr: `leash: ${lock.name}: the job left processes behind, which go on without the lock\n`,
    })
    expect((await leash(['run', '-n', '-l', lock.name, 'echo', 'next'], {env})).stdout).toBe('next\n')
    expect(isAlive(pid)).toBe(true)
    // It is no longer held by anything of ours, and there is nothing of us left.
    expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).not.toContain('leash-')
    expect(run.processes().map((found) => found.pid)).toEqual(expect.arrayContaining([pid]))
    expect(run.processes().filter(({command}) => command.includes('guard.sh'))).toEqual([])
    tell()
    await until('it to end', () => !isAlive(pid), soon)
    expect(said('end')).toBe('told')
  })

  testHere(
    'is ended, too, when the lease is lost while it is waited for, though the job has its own end',
    async () => {
      const lock = new TestLock(etcd)
      await using run = start(lock, ...contain, '--leftovers', 'wait')
      const pid = await left()
      await until('the job itself to end', () => !isAlive(Number(said('job'))), soon)
      await etcd.etcdctl('del', await lock.ticket())
      const {status} = await run.end()
      expect(status).toBe(3)
      expect(isAlive(pid)).toBe(false)
    },
  )
})
