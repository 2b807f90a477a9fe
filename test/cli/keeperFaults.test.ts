import {afterEach, describe, expect, test} from 'vitest'
import {TcpProxy} from '../support/TcpProxy.ts'
import {keysUnder, revoke} from '../support/etcdGateway.ts'
import {isAlive, isStopped} from '../support/processes.ts'
import {pause, until} from '../support/wait.ts'
import {leaseHex} from '../../src/lib/core/identifiers.ts'
import {Script, handleAt, keeperAt, script} from './support/Script.ts'
import {useEtcd} from './support/useEtcd.ts'

const etcd = useEtcd()
afterEach(() => etcd.empty())

const tickets = (): Promise<unknown[]> => keysUnder(etcd.url, 'leash/lock/x/')
const soon = {withinMs: 10_000}

/** Takes the lock for the shell, and says so. */
const acquired = (ttl = '4s'): string =>
  `LEASH_HANDLE=$(leash acquire x --ttl ${ttl} --keep $$) || exit; export LEASH_HANDLE; echo "$LEASH_HANDLE"`
/** Without end, and without a process of its own that has to be killed first. */
const loop = 'while :; do sleep 0.02; done'
/** As long as nobody sends KILL. */
const stubborn = `trap "echo TERM" TERM; ${acquired()}; ${loop}`

/** The status of each command for the lock of this handle. */
const statuses = async (handle: string, ...commands: string[]): Promise<string[]> => {
  const lines = commands.map((command) => `leash ${command} --handle ${handle} 2>/dev/null; echo $?`)
  return (await script(etcd, lines.join('\n'))).stdout.trim().split('\n')
}

/** How the lock stood when the script was dead. */
const heldAtTheEndOf = async (running: Script): Promise<boolean> => {
  expect((await running.end()).status).toBe('SIGKILL')
  return (await tickets()).length === 1
}

describe('a script whose lock is lost', () => {
  test('is killed at once with what it has started when its ticket is gone', async () => {
    await using running = new Script(etcd, `(${loop}) & trap "echo TERM" TERM; ${acquired('60s')}; ${loop}`)
    const handle = await running.handle()
    await revoke(etcd.url, leaseHex(handleAt(handle).lease))
    expect(await running.end()).toMatchObject({status: 'SIGKILL', stdout: `${handle}\n`})
    await running.isGone()
    expect(await statuses(handle, 'check', 'renew', 'release', 'release')).toEqual(['1', '79', '79', '79'])
  })

  test('gets 79 from release, whenever that comes', async () => {
    await using running = new Script(etcd, `${acquired('60s')}; ${loop}`)
    const handle = await running.handle()
    await revoke(etcd.url, leaseHex(handleAt(handle).lease))
    const momentsMs = [0, 50, 100, 150, 200, 300]
    const ends = momentsMs.map(async (ms) => {
      await pause(ms)
      return script(etcd, `leash release --handle ${handle}`)
    })
    expect((await Promise.all(ends)).map(({status}) => status)).toEqual(momentsMs.map(() => 79))
  })

  test('gets TERM and then KILL before its lease runs out, when the network is gone', async () => {
    await using link = await TcpProxy.to(etcd.server)
    await using running = new Script(link, stubborn)
    const handle = await running.handle()
    link.blackhole()
    await running.says(/TERM/)
    expect(isAlive(running.pid)).toBe(true)
    expect(await heldAtTheEndOf(running)).toBe(true)
    await running.isGone()
    expect(handleAt(handle).ended).toMatchObject({how: 'lost'})
    expect(await statuses(handle, 'check')).toEqual(['1'])
  })

  test('gets the signal that it wants instead of TERM', async () => {
    await using link = await TcpProxy.to(etcd.server)
    await using running = new Script(
      link,
      `trap "echo USR1; exit 5" USR1; leash acquire x --ttl 4s --signal USR1 --keep $$; ${loop}`,
    )
    await running.handle()
    link.blackhole()
    expect((await running.end()).status).toBe(5)
    expect(running.stdout).toContain('USR1')
  })
})

describe('a keeper that was killed', () => {
  test('has the script told, which gives the lock back; nothing is killed afterwards', async () => {
    await using running = new Script(
      etcd,
      `trap 'leash release; echo "released $?"' TERM; ${acquired()}; ${loop}`,
    )
    const {pid, guard} = keeperAt(await running.handle())
    process.kill(pid, 'SIGKILL')
    await running.says(/released 0/)
    expect(await keysUnder(etcd.url, '')).toEqual([])
    await until('the guard to be gone, which nobody follows', () => !isAlive(guard.pid), soon)
    expect(isAlive(running.pid)).toBe(true)
  })

  test('has the script ended before the lease runs out, though it does not end at TERM', async () => {
    await using running = new Script(etcd, stubborn)
    const handle = await running.handle()
    process.kill(keeperAt(handle).pid, 'SIGKILL')
    await running.says(/TERM/)
    expect(await statuses(handle, 'check', 'renew')).toEqual(['1', '79'])
    expect(await heldAtTheEndOf(running)).toBe(true)
    await running.isGone()
  })

  test('together with its guard leaves the lock to the end of its lease', async () => {
    await using running = new Script(etcd, `${acquired('2s')}; ${loop}`)
    const handle = await running.handle()
    const {pid, guard} = keeperAt(handle)
    // Or the keeper would start another.
    process.kill(pid, 'SIGSTOP')
    process.kill(guard.pid, 'SIGKILL')
    process.kill(pid, 'SIGKILL')
    await until('the ticket to go', async () => (await tickets()).length === 0, soon)
    expect(await statuses(handle, 'check', 'release', 'release')).toEqual(['1', '79', '79'])
  })
})

describe('a keeper that was stopped', () => {
  test('does not keep the script from being ended before the lease runs out', async () => {
    await using running = new Script(etcd, stubborn)
    const {pid} = keeperAt(await running.handle())
    process.kill(pid, 'SIGSTOP')
    expect(await heldAtTheEndOf(running)).toBe(true)
    expect(isStopped(pid)).toBe(true)
    process.kill(pid, 'SIGCONT')
    await running.isGone()
  })

  test.each([
    ['release', []],
    ['renew', [expect.anything(), expect.anything()]],
  ])('is woken up by %s, which does its work', async (command, left) => {
    await using running = new Script(
      etcd,
      `${acquired('30s')}; read line; leash ${command}; echo "status $?"; ${loop}`,
    )
    const {pid} = keeperAt(await running.handle())
    process.kill(pid, 'SIGSTOP')
    await until('it to stop', () => isStopped(pid), soon)
    running.type('\n')
    await running.says(/status 0/)
    expect(await keysUnder(etcd.url, '')).toEqual(left)
  })
})

test('a guard that was killed is followed by another, and nothing is ended', async () => {
  await using running = new Script(etcd, `${acquired('30s')}; read line; leash release; echo "released $?"`)
  const handle = await running.handle()
  const {guard} = keeperAt(handle)
  process.kill(guard.pid, 'SIGKILL')
  await until('the handle to name another', () => keeperAt(handle).guard.pid !== guard.pid, soon)
  expect(isAlive(keeperAt(handle).guard.pid)).toBe(true)
  running.type('\n')
  await running.says(/released 0/)
  await running.isGone()
})

test('release says 69 while etcd is down, and gives the lock back later', async () => {
  await using running = new Script(
    etcd,
    `${acquired('60s')}; for time in 1 2; do read line; leash release; echo "released $?"; done; ${loop}`,
  )
  await running.handle()
  await etcd.server.kill()
  try {
    running.type('\n')
    await running.says(/released 69/)
  } finally {
    await etcd.server.restart()
  }
  expect(await tickets()).toHaveLength(1)
  running.type('\n')
  await running.says(/released 0/)
  expect(await keysUnder(etcd.url, '')).toEqual([])
  expect(isAlive(running.pid)).toBe(true)
})

test('of two scripts of one user only the winner can give the lock back', async () => {
  const once = `LEASH_HANDLE=$(leash acquire x -n --keep $$) && export LEASH_HANDLE
    status=$?; trap 'leash release; echo "released $?"' EXIT; [ $status = 0 ] || exit $status`
  await using winner = new Script(etcd, `${once}; echo "$LEASH_HANDLE"; read line`)
  const handle = await winner.handle()
  await using loser = new Script(etcd, once)
  const end = await loser.end()
  expect(end).toMatchObject({status: 75, stdout: 'released 64\n'})
  expect(end.stderr).toContain('no handle is given')
  expect(await tickets()).toHaveLength(1)
  expect(await statuses(handle, 'check')).toEqual(['0'])
  winner.type('\n')
  expect((await winner.end()).stdout).toBe(`${handle}\nreleased 0\n`)
})
