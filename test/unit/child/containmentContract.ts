import {rmSync, symlinkSync} from 'node:fs'
import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {isAlive, isStopped} from '../../support/processes.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {until} from '../../support/wait.ts'
import {type Contain, Contained, soon} from './Contained.ts'

/** Says so, and waits. */
const waiting = ['sh', '-c', 'echo runs; while :; do sleep 0.02; done'] as const
/** Leaves a process in its process group, one in another group, and one in another session, and says which. */
const scattering = `
  use POSIX ();
  $| = 1;
  sub child { my $how = shift; my $pid = fork // die; if (!$pid) { $how->(); print "$$\\n"; sleep 1000 while 1 } }
  child(sub {}); child(sub { setpgrp(0, 0) }); child(sub { POSIX::setsid() });`
/** A process in a group of its own, and with another environment. */
const renegade = `sh -c 'env -i perl -e "setpgrp; \\$| = 1; print qq(\\$\\$\\n); sleep 1000 while 1" & wait'`
/** A daemon as they all are: a second fork, in a session of its own, whose parent has ended. */
const daemon =
  'use POSIX (); unless (fork) { POSIX::setsid(); fork and exit; $| = 1; print "$$\\n"; sleep 1000 while 1 } wait'

/**
 * A chain of processes, each of which forks the next and ends, as fast as it goes; the last one stays. With setsid, each in a
 * session of its own.
 */
const chain = (hops: number, setsid: boolean): string[] => [
  ...['perl', '-MPOSIX=setsid,_exit', '-e'],
  `$| = 1; print "runs\\n"; for (1 .. ${hops}) { ${setsid ? 'setsid();' : ''} _exit(0) if fork // die } print "last\\n"; sleep 1000 while 1`,
]

/** What leash may rely on, whatever holds a job. */
export function containmentContract(contain: Contain, leads: boolean): void {
  const start = (...argv: readonly string[]): Promise<Contained> => Contained.start(contain, leads, ...argv)

  describe('is empty', () => {
    test('not while the job lives, and when it is dead, though nobody has reaped it yet', async () => {
      await using job = await start(...waiting)
      await job.says(/runs/)
      expect(job.containment.isEmpty()).toBe(false)
      expect(job.containment.pids()).toContain(job.pid)
      job.containment.kill()
      // Without a turn of the event loop, Node does not reap it.
      const endsAtMs = Date.now() + soon.withinMs
      while (!job.containment.isEmpty() && Date.now() < endsAtMs) job.containment.kill()
      expect(job.containment.isEmpty()).toBe(true)
      expect(job.hasEnded).toBe(false)
      expect(job.containment.pids()).toEqual([])
    })

    test('not while a process lives that the job has left behind', async () => {
      await using job = await start('sh', '-c', 'sleep 1000 & echo $!')
      const [left = 0] = await job.numbers(1)
      await job.end()
      expect(job.containment.isEmpty()).toBe(false)
      expect(job.containment.pids()).toEqual([left])
      process.kill(left, 'SIGKILL')
      await until('it to be empty', () => job.containment.isEmpty(), soon)
    })

    test('not while a daemon lives that the job has left behind', async () => {
      await using job = await start('perl', '-e', daemon)
      const [left = 0] = await job.numbers(1)
      await job.end()
      expect(job.containment.isEmpty()).toBe(false)
      expect(job.containment.pids()).toEqual([left])
    })

    test('not while the job is stopped', async () => {
      await using job = await start(...waiting)
      await job.says(/runs/)
      await job.stop()
      expect(job.containment.isEmpty()).toBe(false)
    })

    test('not while a program runs whose name looks like the end of another one', async () => {
      const directory = scratchDirectory('names')
      try {
        const program = path.join(directory, 'a) Z 1 1 (')
        symlinkSync('/bin/sh', program)
        await using job = await start(program, '-c', 'echo runs; read -r _')
        await job.says(/runs/)
        expect(job.containment.isEmpty()).toBe(false)
      } finally {
        rmSync(directory, {recursive: true})
      }
    })

    test.skipIf(!(process.arch in exitNumbers))(
      'not while a thread runs on after the first one has ended',
      async () => {
        const exit = exitNumbers[process.arch as keyof typeof exitNumbers]
        const script = `use threads; threads->create(sub { sleep 1000 while 1 }); $| = 1; print "runs\\n"; syscall(${exit}, 0)`
        await using job = await start('perl', '-e', script)
        await job.says(/runs/)
        await until('its first thread to end', () => !isAlive(job.pid), soon)
        expect(job.containment.isEmpty()).toBe(false)
        expect(job.containment.pids()).toEqual([job.pid])
        await job.killAll()
      },
    )

    test.each([false, true])(
      'never while a chain of processes goes on (each in a session of its own: %s)',
      async (setsid) => {
        await using job = await start(...chain(5000, setsid))
        await job.says(/runs/)
        for (let look = 0; look < 100; look++) expect(job.containment.isEmpty()).toBe(false)
      },
    )
  })

  test('is seen to be occupied while the job lives, and not when it is dead', async () => {
    await using job = await start(...waiting)
    await job.says(/runs/)
    expect(job.containment.isOccupied()).toBe(true)
    await job.killAll()
    expect(job.containment.isOccupied()).toBe(false)
  })

  test('is empty when the job is dead, also while strangers fork a lot', async () => {
    await using strangers = await start(...chain(3000, true))
    await strangers.says(/runs/)
    await using job = await start(...waiting)
    await job.says(/runs/)
    await job.killAll()
    await job.isGone()
  })

  describe('a signal', () => {
    const trapping = (signal: string): string[] => [
      'sh',
      '-c',
      `trap 'echo got; exit 3' ${signal}; echo runs; while :; do sleep 0.02; done`,
    ]

    test('that asks for an end wakes a stopped process', async () => {
      await using job = await start(...trapping('TERM'))
      await job.says(/runs/)
      await job.stop()
      job.containment.signal('SIGTERM', 'tree')
      expect(await job.end()).toBe(3)
    })

    test('that asks for an end wakes a stopped process that has left the group, too', async () => {
      await using job = await start('perl', '-e', `${scattering} sleep 1000 while 1`)
      const children = await job.numbers(3)
      for (const pid of children) await job.stop(pid)
      job.containment.signal('SIGTERM', 'tree')
      await until('all to end', () => job.containment.isEmpty(), soon)
    })

    test.each(['SIGUSR1', 'SIGUSR2'] as const)('%s leaves a stopped process stopped', async (signal) => {
      await using job = await start(...trapping(signal.slice(3)))
      await job.says(/runs/)
      await job.stop()
      job.containment.signal(signal, 'group')
      expect(isStopped(job.pid)).toBe(true)
      process.kill(job.pid, 'SIGCONT')
      expect(await job.end()).toBe(3)
    })

    test('for the tree reaches all of it, and nobody else', async () => {
      await using other = await start(...waiting)
      await other.says(/runs/)
      await using job = await start('perl', '-e', `${scattering} sleep 1000 while 1`)
      const children = await job.numbers(3)
      job.containment.signal('SIGTERM', 'tree')
      expect(await job.end()).toBe('SIGTERM')
      await until('all to end', () => !children.some(isAlive), soon)
      expect(isAlive(other.pid)).toBe(true)
    })

    test(`for the group reaches ${leads ? 'who has not left it' : 'all of the tree: the group is not its own'}`, async () => {
      await using job = await start('perl', '-e', `${scattering} sleep 1000 while 1`)
      const children = await job.numbers(3)
      job.containment.signal('SIGTERM', 'group')
      expect(await job.end()).toBe('SIGTERM')
      const reached = leads ? 1 : 3
      await until('those to end', () => children.filter(isAlive).length === 3 - reached, soon)
    })
  })

  describe('a kill', () => {
    test.each<[string, string[], number]>([
      ['a daemon', ['perl', '-e', `${daemon}; sleep 1000 while 1`], 1],
      ['other groups and sessions', ['perl', '-e', `${scattering} sleep 1000 while 1`], 3],
      [
        '200 children',
        [
          'perl',
          '-e',
          '$| = 1; for (1 .. 200) { fork or do { print "$$\\n"; sleep 1000 while 1 } } sleep 1000 while 1',
        ],
        200,
      ],
      ['who has another environment and a group of its own', ['sh', '-c', renegade], 1],
      ['who ignores all signals', ['sh', '-c', 'trap "" HUP INT TERM QUIT; sleep 1000 & echo $!; wait'], 1],
    ])('reaches %s', async (_, argv, count) => {
      await using job = await start(...argv)
      await job.numbers(count)
      expect(job.containment.pids().length).toBeGreaterThan(count)
      await job.killAll()
      await job.isGone()
    })

    test('reaches stopped ones', async () => {
      await using job = await start(...waiting)
      await job.says(/runs/)
      await job.stop()
      await job.killAll()
      await job.isGone()
    })

    test.each([false, true])(
      'repeated, ends a chain of processes (each in a session of its own: %s)',
      async (setsid) => {
        await using job = await start(...chain(2000, setsid))
        await job.says(/runs/)
        await job.killAll()
        await job.isGone()
      },
    )
  })

  test('what is left when it is given back goes on', async () => {
    await using job = await start('sh', '-c', 'sleep 1000 & echo $!')
    const [left = 0] = await job.numbers(1)
    await job.end()
    job.containment.dispose()
    expect(isAlive(left)).toBe(true)
  })
}

/** The number of the system call that ends one thread. */
const exitNumbers = {x64: 60, arm64: 93}
