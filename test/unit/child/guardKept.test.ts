import {spawn, spawnSync} from 'node:child_process'
import {once} from 'node:events'
import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {dismissGuard} from '../../../src/lib/child/guard.ts'
import {runningProcesses} from '../../../src/lib/child/processIdentity.ts'
import {ProcessTree} from '../../../src/lib/child/processTree.ts'
import {isAlive, isStopped} from '../../support/processes.ts'
import {until, within} from '../../support/wait.ts'
import {strangerUid} from '../config/temporaryWorld.ts'
import {Contained, soon} from './Contained.ts'
import {TestGuard, bootTime, shells} from './TestGuard.ts'
import {guardScript} from './job.fixture.ts'

const loop = 'while :; do sleep 0.02; done'
/** Says so when TERM comes, and lives on. */
const stubborn = `trap "echo TERM" TERM; echo runs; ${loop}`
/** Ends when TERM comes. */
const patient = `trap "echo TERM; exit 3" TERM; echo runs; ${loop}`
/** Ends of any signal. */
const idle = 'echo runs; exec sleep 1000'
const isUntouched = (pid: number): boolean => isAlive(pid) && !isStopped(pid)
/** Far away. */
const later = (): number => bootTime() + 100_000

/** A process that a guard keeps, with the start that it is told. */
interface Kept extends AsyncDisposable {
  guard: TestGuard
  job: Contained
}

const startKept = (...argv: readonly string[]): Promise<Contained> =>
  Contained.start((root) => Promise.resolve(new ProcessTree(root)), true, ...argv)

const startOf = (pid: number): number => runningProcesses.startOf(pid) ?? NaN

describe.each(shells.map((shell) => [shell.join(' '), shell] as const))('in %s', (_, shell) => {
  const kept = async (script: string, {startedEarlier = 0, signal = 15} = {}): Promise<Kept> => {
    const job = await startKept('sh', '-c', script)
    const guard = new TestGuard({shell})
    await job.says(/runs/)
    guard.tell(`keep ${job.pid} ${startOf(job.pid) - startedEarlier} ${signal}`)
    await guard.says(/^ready\n/)
    return {
      guard,
      job,
      [Symbol.asyncDispose]: async () => {
        await guard[Symbol.asyncDispose]()
        await job[Symbol.asyncDispose]()
      },
    }
  }

  describe('what is kept', () => {
    test('gets the gentle signal when the keeper dies, and KILL at the moment told last, not before', async () => {
      await using stage = await kept(`(${stubborn}) & ${stubborn}`)
      const {guard, job} = stage
      await job.says(/runs\nruns/)
      const deadline = bootTime() + 150
      guard.tell(`until ${later()}`, `until ${deadline}`)
      guard.endInput()
      await job.says(/TERM\nTERM/)
      await job.isGone()
      expect(bootTime()).toBeGreaterThanOrEqual(deadline)
      await guard.end()
      expect(guard.cleanEnd).toBeUndefined()
    })

    test('is not killed if it ends in time, and its guard ends with it', async () => {
      await using stage = await kept(patient)
      const {guard, job} = stage
      guard.tell(`until ${later()}`)
      guard.endInput()
      await guard.end()
      expect(await job.end()).toBe(3)
      await until('the timer to be gone', () => guard.timerPid === undefined, soon)
    })

    test('is killed when the time has come though the keeper lives, as it may be frozen', async () => {
      await using stage = await kept(`(${stubborn}) & ${stubborn}`)
      const {guard, job} = stage
      const deadline = bootTime() + 30
      guard.tell(`until ${deadline}`)
      const ended = Number((await guard.says(/ended \d+\n/)).slice('ended '.length))
      expect(ended).toBeGreaterThanOrEqual(deadline)
      await job.isGone()
      expect(job.said).not.toContain('TERM')
    })

    test('is left alone as long as renewals put the moment off', async () => {
      await using stage = await kept(stubborn)
      const {guard, job} = stage
      const first = bootTime() + 30
      guard.tell(`until ${first}`, `until ${later()}`)
      await until('the first moment to pass', () => bootTime() > first + 30, soon)
      expect(guard.said).not.toContain('ended')
      expect(isUntouched(job.pid)).toBe(true)
    })

    test('is left alone when the keeper dies before anything depends on the lock', async () => {
      await using stage = await kept(idle)
      stage.guard.endInput()
      await stage.guard.end()
      expect(isUntouched(stage.job.pid)).toBe(true)
    })

    test('is left alone when it was released, whatever comes', async () => {
      await using stage = await kept(idle)
      const {guard, job} = stage
      const deadline = bootTime() + 30
      guard.tell(`until ${deadline}`, 'empty')
      await until('the moment to pass', () => bootTime() > deadline + 20, soon)
      guard.endInput()
      await guard.end()
      expect(isUntouched(job.pid)).toBe(true)
    })

    test('is ended though somebody has stopped it', async () => {
      await using stage = await kept(patient)
      const {guard, job} = stage
      await job.stop()
      guard.tell(`until ${later()}`)
      guard.endInput()
      await guard.end()
      expect(await job.end()).toBe(3)
    })

    test('may have a name of several lines, which looks like the end of another one', async () => {
      await using stage = await kept(
        `exec perl -e '$0 = "a) Z 1\n) Z 1 ("; $| = 1; print "runs\n"; sleep 1000'`,
      )
      const {guard, job} = stage
      expect(job.name).toBe('a) Z 1\n) Z 1 (\n')
      guard.tell('until 0')
      await guard.says(/ended \d+\n/)
      expect(await job.end()).toBe('SIGKILL')
    })

    test('is still the same when it has become another program', async () => {
      await using stage = await kept('echo runs; read -r _ </dev/null; exec sleep 1000')
      const {guard, job} = stage
      await until('it to be another', () => job.name === 'sleep\n', soon)
      guard.tell(`until ${later()}`)
      guard.endInput()
      await guard.end()
      expect(await job.end()).toBe('SIGTERM')
    })
  })

  describe('a descendant', () => {
    test('is ended with it, also in another session and with another environment', async () => {
      await using stage = await kept(
        `env -i setsid -w perl -e '$SIG{TERM} = "IGNORE"; $| = 1; print "runs too\\n"; sleep 1000' & ${stubborn}`,
      )
      await stage.job.says(/runs too/)
      stage.guard.tell('until 0')
      await stage.guard.says(/ended \d+\n/)
      await stage.job.isGone()
    })

    test('that got the gentle signal is killed in time, though its parent ends before it', async () => {
      await using stage = await kept(`(trap "" TERM; echo runs too; exec sleep 1000) & ${patient}`)
      const {guard, job} = stage
      await job.says(/runs too/)
      guard.tell(`until ${bootTime() + 100}`)
      guard.endInput()
      expect(await job.end()).toBe(3)
      await guard.end()
      await job.isGone()
    })

    test.each<[string, boolean]>([
      ['when the time has come', false],
      ['when the keeper has died, too', true],
    ])('that it was told to see is ended though its parent has ended since, %s', async (_, isOver) => {
      await using stage = await kept(`(trap "" TERM; echo runs too; exec sleep 1000) & ${patient}`)
      const {guard, job} = stage
      await job.says(/runs too/)
      guard.tell('see', `until ${bootTime() + 50}`)
      await guard.says(/seen\nuntil/)
      process.kill(job.pid, 'SIGTERM')
      expect(await job.end()).toBe(3)
      if (isOver) guard.endInput()
      await job.isGone()
    })

    test.each<[string, number, string]>([
      ['when the time has come', 15, 'until 0'],
      ['when the keeper dies, if KILL is the gentle signal', 9, `until ${later()}`],
    ])('does not get away by being forked just then, %s', async (_, signal, order) => {
      const forking = `$| = 1; print "runs\\n"; for (1 .. 2000) { my $pid = fork // die; if (!$pid) { sleep 1000; exit } select undef, undef, undef, 0.002 } sleep 1000`
      await using stage = await kept(`perl -e '${forking}' & wait`, {signal})
      stage.guard.tell(order)
      await stage.guard.says(/until/)
      stage.guard.endInput()
      await stage.guard.end()
      await stage.job.isGone()
    })
  })

  test('parents come before their children, so that no shell goes on because its command was ended first', async () => {
    const generations = 9
    const chain = `$| = 1; for (1 .. ${generations}) { print "$$\n"; my $child = fork // die; if ($child) { wait; exit } } sleep 1000`
    await using job = await startKept('perl', '-e', chain)
    const family = await job.numbers(generations)
    const look = `. "$0"; kept=" ${job.pid}:${startOf(job.pid)}" keeper=; see_living; for one in $living; do echo "\${one%%:*}"; done`
    const [program = '', ...options] = shell
    const keptScript = path.join(path.dirname(guardScript), 'kept.sh')
    const {stdout} = spawnSync(program, [...options, '-c', look, keptScript], {encoding: 'utf8'})
    expect(stdout.split('\n').map(Number).slice(0, generations)).toEqual(family)
  })

  describe('nobody is signalled, and the guard ends,', () => {
    test('if the number is of somebody who started at another time', async () => {
      await using stage = await kept(idle, {startedEarlier: 1})
      const {guard, job} = stage
      guard.tell('until 0')
      await guard.says(/ended \d+\n/)
      guard.endInput()
      await guard.end()
      expect(isUntouched(job.pid)).toBe(true)
    })

    test('if what is kept has ended', async () => {
      await using stage = await kept(`sleep 1000 & echo $!; ${stubborn}`)
      const {guard, job} = stage
      const [left = 0] = await job.numbers(1)
      guard.tell(`until ${later()}`)
      process.kill(job.pid, 'SIGKILL')
      await job.end()
      guard.endInput()
      await guard.end()
      expect(isAlive(left)).toBe(true)
    })

    test('if it is a zombie', async () => {
      const script = 'my $child = fork // die; exit unless $child; $| = 1; print "$child\\n"; sleep 1000'
      await using parent = await startKept('perl', '-e', script)
      const [zombie = 0] = await parent.numbers(1)
      await until('it to end', () => !isAlive(zombie), soon)
      const {stdout} = spawnSync('sh', ['-c', `sed 's/.*) //' /proc/${zombie}/stat`], {encoding: 'utf8'})
      await using guard = new TestGuard({shell})
      guard.tell(`keep ${zombie} ${stdout.split(' ')[19]} 15`, `until ${later()}`)
      guard.endInput()
      await guard.end()
    })

    test.skipIf(process.getuid?.() !== 0)("if it is another user's (needs root)", async () => {
      const another = [
        'setpriv',
        '--reuid',
        String(strangerUid),
        '--regid',
        String(strangerUid),
        '--clear-groups',
      ]
      await using job = await startKept('sleep', '1000')
      await using guard = new TestGuard({shell, through: another})
      guard.tell(`keep ${job.pid} ${startOf(job.pid)} 15`, 'until 0')
      await guard.says(/until 0/)
      guard.endInput()
      await guard.end()
      expect(guard.said).not.toContain('ended')
      expect(isUntouched(job.pid)).toBe(true)
    })
  })
})

test('the guard and the keeper are spared, though they descend from what is kept', async () => {
  const script = path.join(import.meta.dirname, 'keptAncestor.pl')
  await using job = await startKept('perl', script, guardScript)
  await job.says(/ended \d+\n/)
  expect(await job.end()).toBe('SIGKILL')
})

describe('the guard of a keeper that is dead', () => {
  /** It has ended when nobody of its session has its stdout any more. */
  const stand = (): {pid: number; startTicks: number; ended: Promise<unknown>} => {
    const sleeper = spawn('sh', ['-c', 'sleep 1000 & wait'], {
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const {pid = 0} = sleeper
    return {pid, startTicks: startOf(pid), ended: once(sleeper, 'close')}
  }

  test('is dismissed by its number and start, with all of its session', async () => {
    const {pid, startTicks, ended} = stand()
    dismissGuard({pid, startTicks})
    await within('all of it to end', ended, soon)
  })

  test('is spared if it is somebody else by now', async () => {
    const {pid, startTicks, ended} = stand()
    dismissGuard({pid, startTicks: startTicks - 1})
    process.kill(-pid, 'SIGTERM')
    // The first signal that ends it is what it says.
    expect(await ended).toEqual([null, 'SIGTERM'])
  })
})
