import {execFileSync} from 'node:child_process'
import {rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {onPath} from '../../bench/measure.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {deleteKey} from '../support/etcdGateway.ts'
import {isStopped} from '../support/processes.ts'
import {scratchDirectory} from '../support/scratch.ts'
import {until} from '../support/wait.ts'
import {fixture, leash} from './support/leash.ts'
import {containments, runUnder} from './support/containments.ts'
import {keys, Shell} from './support/Shell.ts'
import {TestLock} from './support/TestLock.ts'

let etcd: EtcdServer
let env: Record<string, string>
let directory: string
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
  env = {LEASH_ENDPOINTS: etcd.url}
  directory = scratchDirectory('foreground')
})
afterAll(async () => {
  await etcd[Symbol.asyncDispose]()
  rmSync(directory, {recursive: true})
})

/** Script that says: the process, its process group, its session, and the foreground group of its terminal. */
const whereAmI =
  'read -r pid _ _ _ group session _ foreground _ </proc/$$/stat; echo "is $pid $group $session $foreground"'
const isWhere = /is (\d+) (\d+) (\d+) (-?\d+)/

describe.each(containments)('with --contain %s', (containment, isPossible) => {
  const testHere = test.skipIf(!isPossible)

  testHere.each(['bash', 'sh'] as const)(
    'the job of a command typed into %s reads the terminal, opens it, and is in its foreground group',
    async (name) => {
      const lock = new TestLock(etcd)
      await using shell = await Shell.start(env, name)
      shell.run(
        `${runUnder(containment, lock)} sh -c 'echo runs; read -r line; echo "got $line" >/dev/tty; ${whereAmI}'`,
      )
      await shell.says(/runs/)
      shell.run('a line')
      await shell.says(/got a line/)
      const [, , group, , foreground] = await shell.says(isWhere)
      expect(group).toBe(foreground)
      expect(await shell.status()).toBe(0)
      await shell.isAlone()
      await lock.isFree()
    },
  )

  testHere('the job gets each key from a terminal that it made raw, Ctrl-C too', async () => {
    await using shell = await Shell.start(env)
    const key = 'echo press; dd bs=1 count=1 2>/dev/null | od -An -tx1'
    shell.run(
      `${runUnder(containment, new TestLock(etcd))} sh -c 'saved=$(stty -g); stty raw; ${key}; stty "$saved"'`,
    )
    await shell.says(/press/)
    shell.type(keys.interrupt)
    await shell.says(/ 03/)
    expect(await shell.status()).toBe(0)
  })

  test.skipIf(!isPossible || !onPath('less'))('less shows a file, and ends with q', async () => {
    const file = path.join(directory, 'pages')
    writeFileSync(file, Array.from({length: 1000}, (_, number) => `line ${number}\n`).join(''))
    await using shell = await Shell.start(env)
    shell.run(`${runUnder(containment, new TestLock(etcd))} less ${file}`)
    await shell.says(/line 0[^]*line 20/)
    shell.type(' ')
    await shell.says(/line 40/)
    shell.type('q')
    expect(await shell.status()).toBe(0)
  })

  test.skipIf(!isPossible || !onPath('vi'))('vi changes a file, and ends with :x', async () => {
    const file = path.join(directory, 'text')
    writeFileSync(file, 'some text\n')
    await using shell = await Shell.start(env)
    shell.run(`${runUnder(containment, new TestLock(etcd))} vi -u NONE ${file}`)
    await shell.says(/some text/)
    shell.type(`x:x${keys.enter}`)
    expect(await shell.status()).toBe(0)
    shell.run(`cat ${file}`)
    await shell.says(/^ome text/m)
  })

  testHere('the job hears that the terminal has another size', async () => {
    await using shell = await Shell.start(env)
    shell.run(
      `${runUnder(containment, new TestLock(etcd))} sh -c 'trap "stty size" WINCH; tty; while :; do sleep 0.01; done'`,
    )
    const [terminal] = await shell.says(/\/dev\/\S+/)
    execFileSync('stty', ['-F', terminal, 'cols', '99'])
    await shell.says(/24 99/)
    shell.type(keys.interrupt)
    expect(await shell.status()).toBe(130)
  })

  testHere('Ctrl-C reaches each process of the job once, and leash goes on with it', async () => {
    await using shell = await Shell.start(env)
    const job = `sh -c 'echo "child of $PPID"; exec ${fixture('signals.pl')}'`
    shell.run(`${runUnder(containment, new TestLock(etcd))} ${job}`)
    const [, leashPid] = await shell.says(/child of (\d+)/)
    await shell.says(/ready[^]*ready/)
    shell.type(keys.interrupt)
    await shell.says(/INT[^]*INT/)
    // What leash forwards comes in order: an INT of its own would come before this.
    process.kill(Number(leashPid), 'SIGUSR1')
    await shell.says(/USR1[^]*USR1/)
    expect(shell.screen.match(/\w+ INT/g)?.toSorted()).toEqual(['child INT', 'parent INT'])
    // Each of them ends when it has read something.
    shell.run(keys.enter)
    expect(await shell.status()).toBe(0)
  })

  testHere.each([
    ['Ctrl-C', keys.interrupt, 130],
    ['Ctrl-C twice', keys.interrupt.repeat(2), 130],
    ['Ctrl-\\', keys.quit, 131],
  ])('%s ends a job that does not mind, and leash says so in its status', async (_, key, status) => {
    const lock = new TestLock(etcd)
    await using shell = await Shell.start(env)
    shell.run(`${runUnder(containment, lock)} sh -c 'echo runs; exec sleep 600'`)
    await shell.says(/runs/)
    shell.type(key)
    expect(await shell.status()).toBe(status)
    await shell.isAlone()
    await lock.isFree()
  })

  testHere('the lock is held until a job has ended that ends at the second Ctrl-C', async () => {
    const lock = new TestLock(etcd)
    await using shell = await Shell.start(env)
    const wait =
      'trap "seen=x\\$seen; echo caught" INT; echo runs; until [ "$seen" = xx ]; do sleep 0.01; done'
    shell.run(`${runUnder(containment, lock)} sh -c '${wait}; exit 7'`)
    await shell.says(/runs/)
    shell.type(keys.interrupt)
    await shell.says(/caught/)
    expect(await lock.queueLength()).toBe(1)
    shell.type(keys.interrupt)
    await shell.says(/caught/)
    expect(await shell.status()).toBe(7)
    await shell.isAlone()
    await lock.isFree()
  })

  testHere('when the lock is lost, what is piped to reads to the end', async () => {
    const lock = new TestLock(etcd)
    await using shell = await Shell.start(env)
    shell.run(
      `${runUnder(containment, lock)} sh -c 'sleep 600 & echo runs; wait' | (cat; echo "cat has ended")`,
    )
    await shell.says(/runs/)
    await deleteKey(etcd.url, await lock.ticket())
    await shell.says(/cat has ended/)
    await shell.status()
    shell.run('echo "status ${PIPESTATUS[0]}"')
    await shell.says(/status 79/)
    await shell.isAlone()
  })

  testHere('a terminal that hangs up ends leash, its job and its guard, and frees the lock', async () => {
    const lock = new TestLock(etcd)
    await using shell = await Shell.start(env)
    shell.run(`${runUnder(containment, lock)} sh -c 'echo runs; sleep 600'`)
    await shell.says(/runs/)
    await shell.hangUp()
    await shell.isGone()
    await lock.isFree()
  })

  testHere('--foreground lets the job open the terminal although its stdin is a pipe', async () => {
    await using shell = await Shell.start(env)
    const job = 'read -r piped; echo "say"; read -r typed </dev/tty; echo "$piped and $typed"'
    shell.run(`echo piped | ${runUnder(containment, new TestLock(etcd), '--foreground')} sh -c '${job}'`)
    await shell.says(/say/)
    shell.run('typed')
    await shell.says(/piped and typed/)
    expect(await shell.status()).toBe(0)
  })

  testHere('a shell under leash has jobs of its own, which Ctrl-Z stops alone', async () => {
    const lock = new TestLock(etcd)
    await using shell = await Shell.start(env)
    shell.run(`${runUnder(containment, lock)} bash --norc --noprofile --noediting -i`)
    expect(await shell.status()).toBe(0)
    shell.run('echo "in $LEASH_LOCK"; sleep 600')
    await shell.says(/in lock/)
    const sleeper = await shell.process('sleep 600')
    shell.type(keys.suspend)
    expect(await shell.status()).toBe(148)
    shell.run('fg')
    await until('it to go on', () => !isStopped(sleeper), {withinMs: 5000})
    shell.type(keys.interrupt)
    expect(await shell.status()).toBe(130)
    shell.run('exit 5')
    expect(await shell.status()).toBe(5)
    await shell.isAlone()
    await lock.isFree()
  })

  testHere('when the lock is lost, the terminal comes back from a shell under leash', async () => {
    const lock = new TestLock(etcd)
    await using shell = await Shell.start(env)
    shell.run(`${runUnder(containment, lock)} bash --norc --noprofile --noediting -i`)
    expect(await shell.status()).toBe(0)
    shell.run('echo starts; sleep 600')
    await shell.says(/starts/)
    await deleteKey(etcd.url, await lock.ticket())
    expect(await shell.status()).toBe(79)
    shell.run('read -r line; echo "got $line"')
    shell.run('a line')
    await shell.says(/got a line/)
    await shell.isAlone()
  })

  testHere('--no-foreground gives the job a session of its own, without the terminal', async () => {
    const lock = new TestLock(etcd)
    await using shell = await Shell.start(env)
    shell.run(
      `${runUnder(containment, lock, '--no-foreground')} sh -c '${whereAmI}; (: </dev/tty) 2>/dev/null || echo no terminal; sleep 600'`,
    )
    const [, pid, group, session] = await shell.says(isWhere)
    expect([group, session]).toEqual([pid, pid])
    await shell.says(/no terminal/)
    // Leash is in the foreground, and forwards it.
    shell.type(keys.interrupt)
    expect(await shell.status()).toBe(130)
    await shell.isAlone()
    await lock.isFree()
  })
})

describe('without a terminal', () => {
  const groupOfJob = async (...options: string[]): Promise<{ofJob: string; ofLeash: string}> => {
    // The test starts leash as the leader of a process group.
    const {stdout} = await leash(
      ['run', '-l', 'x', ...options, '--', 'sh', '-c', `${whereAmI}; echo "leash $PPID"`],
      {env},
    )
    const [, , ofJob = ''] = isWhere.exec(stdout) ?? []
    const [, ofLeash = ''] = /leash (\d+)/.exec(stdout) ?? []
    return {ofJob, ofLeash}
  }

  test('--foreground keeps the job in the process group of leash', async () => {
    const {ofJob, ofLeash} = await groupOfJob('--foreground')
    expect(ofJob).toBe(ofLeash)
  })

  test('the job has a process group of its own otherwise', async () => {
    const {ofJob, ofLeash} = await groupOfJob()
    expect(ofJob).not.toBe(ofLeash)
  })
})
