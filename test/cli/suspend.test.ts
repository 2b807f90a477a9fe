import {readFileSync} from 'node:fs'
import {constants} from 'node:os'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {Job} from '../support/Job.ts'
import {Oracle} from '../support/oracle.ts'
import {type Found, isStopped} from '../support/processes.ts'
import {until} from '../support/wait.ts'
import {Leash, leash} from './support/leash.ts'
import {containments, runUnder} from './support/containments.ts'
import {keys, Shell} from './support/Shell.ts'
import {TestLock} from './support/TestLock.ts'

/** What a shell says of a job that Ctrl-Z stopped. */
const stopped = 148

let etcd: EtcdServer
let env: Record<string, string>
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
  env = {LEASH_ENDPOINTS: etcd.url}
})
afterAll(() => etcd[Symbol.asyncDispose]())

/** A job that says which processes leash and it are, reads a line, and says that. */
const reader = `sh -c 'echo "leash $PPID job $$"; read -r line; echo "got $line"'`
const pidsOf = async (shell: Shell): Promise<number[]> => {
  const [, ...pids] = await shell.says(/leash (\d+) job (\d+)/)
  return pids.map(Number)
}
const ignoresInterrupt = (pid: number): boolean => {
  const [, ignored = '0'] = /^SigIgn:\s*(\S+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? []
  return (BigInt(`0x${ignored}`) & (1n << BigInt(constants.signals.SIGINT - 1))) !== 0n
}
const allStopped = (pids: readonly number[]): Promise<boolean> =>
  until('leash and its job to be stopped', () => pids.every(isStopped), {withinMs: 5000})

describe.each(containments)('with --contain %s', (containment, isPossible) => {
  const testHere = test.skipIf(!isPossible)

  testHere.each(['bash', 'sh'] as const)(
    'Ctrl-Z typed into %s stops leash and the job, fg resumes both, and the lock is kept meanwhile',
    async (name) => {
      const lock = new TestLock(etcd)
      await using shell = await Shell.start(env, name)
      shell.run(`${runUnder(containment, lock)} ${reader}`)
      const pids = await pidsOf(shell)
      for (let times = 0; times < 2; times++) {
        shell.type(keys.suspend)
        expect(await shell.status()).toBe(stopped)
        await allStopped(pids)
        expect((await leash(['run', '-n', '-l', lock.name, 'true'], {env})).status).toBe(75)
        shell.run('fg')
        await until('both to go on', () => !pids.some(isStopped), {withinMs: 5000})
      }
      shell.run('a line')
      await shell.says(/got a line/)
      expect(await shell.status()).toBe(0)
      await shell.isAlone()
      await lock.isFree()
    },
  )

  testHere(
    'Ctrl-Z for longer than the TTL: the job is dead before the next one starts, and fg says that',
    async () => {
      await using oracle = await Oracle.create()
      const lock = new TestLock(etcd)
      await using shell = await Shell.start(env)
      shell.run(`${runUnder(containment, lock, '--ttl', '3s')} ${oracle.command('suspended').join(' ')}`)
      await oracle.tree('suspended').running()
      shell.type(keys.suspend)
      expect(await shell.status()).toBe(stopped)
      const next = {name: 'next', lock: lock.name, endpoints: [etcd.url], oracle}
      await using job = await Job.startRunning({...next, flags: ['--contain', containment]})
      const emptyAtMs = await oracle.tree('suspended').empty(0)
      expect(emptyAtMs).toBeLessThan((await job.running()).atMs)
      shell.run('fg')
      expect(await shell.status()).toBe(79)
      expect(shell.screen).toMatch(/leash: lock-\d+: the lease was lost \(.*\) and the job was ended/)
      job.tellToExit(0)
      expect((await job.exited()).status).toBe(0)
      expect(oracle.violations()).toEqual([])
      await shell.isAlone()
      await lock.isFree()
    },
  )

  testHere('a job that stops all of the foreground, as vi does, comes back with fg', async () => {
    await using shell = await Shell.start(env)
    shell.run(`${runUnder(containment, new TestLock(etcd))} sh -c 'kill -TSTP 0; echo back'`)
    expect(await shell.status()).toBe(stopped)
    shell.run('fg')
    await shell.says(/back/)
    expect(await shell.status()).toBe(0)
  })

  testHere(
    'a job in the background that wants the terminal is stopped with leash, and gets it with fg',
    async () => {
      await using shell = await Shell.start(env)
      shell.run(`${runUnder(containment, new TestLock(etcd))} ${reader} &`)
      await allStopped(await pidsOf(shell))
      await shell.knowsOfStop()
      shell.run('fg')
      await shell.says(/fg|leash run/)
      shell.run('a line')
      await shell.says(/got a line/)
      expect(await shell.status()).toBe(0)
    },
  )

  testHere('a waiter that was stopped and resumed has its turn', async () => {
    const lock = new TestLock(etcd)
    await using holder = new Leash(['run', '-l', lock.name, '--', 'sh', '-c', 'echo runs; read line'], {env})
    await holder.says(/runs/)
    await using shell = await Shell.start(env)
    shell.run(`${runUnder(containment, lock)} echo mine`)
    await until('the waiter to queue', async () => (await lock.queueLength()) === 2, {withinMs: 10_000})
    shell.type(keys.suspend)
    expect(await shell.status()).toBe(stopped)
    shell.run('fg')
    holder.endInput()
    await shell.says(/mine/)
    expect(await shell.status()).toBe(0)
    await shell.isAlone()
    await lock.isFree()
  })

  testHere('a waiter that was told to ignore Ctrl-C has its turn', async () => {
    const lock = new TestLock(etcd)
    await using holder = new Leash(['run', '-l', lock.name, '--', 'sh', '-c', 'echo runs; read line'], {env})
    await holder.says(/runs/)
    await using shell = await Shell.start(env)
    shell.run(`(trap "" INT; exec ${runUnder(containment, lock)} echo mine)`)
    await until('the waiter to queue', async () => (await lock.queueLength()) === 2, {withinMs: 10_000})
    // What is to become the job waits, too, in the same foreground.
    const isDeaf = ({pid, command}: Found): boolean =>
      command.endsWith('-s -- echo mine') && ignoresInterrupt(pid)
    await until('it to ignore Ctrl-C', () => shell.processes().some(isDeaf), {withinMs: 5000})
    shell.type(keys.interrupt)
    holder.endInput()
    await shell.says(/mine/)
    expect(await shell.status()).toBe(0)
    await shell.isAlone()
    await lock.isFree()
  })

  testHere('a terminal that hangs up ends also what was stopped, and frees the lock', async () => {
    const lock = new TestLock(etcd)
    await using shell = await Shell.start(env)
    shell.run(`${runUnder(containment, lock)} ${reader}`)
    const pids = await pidsOf(shell)
    shell.type(keys.suspend)
    expect(await shell.status()).toBe(stopped)
    await allStopped(pids)
    await shell.hangUp()
    await shell.isGone()
    await lock.isFree()
  })
})
