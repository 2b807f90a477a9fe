import {existsSync, rmSync, symlinkSync} from 'node:fs'
import {randomUUID} from 'node:crypto'
import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {Cgroup} from '../../../src/lib/child/cgroup.ts'
import {ProcessTree} from '../../../src/lib/child/processTree.ts'
import {canContainByCgroup, moveInto} from '../../support/cgroups.ts'
import {isAlive, isStopped} from '../../support/processes.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {until} from '../../support/wait.ts'
import {Contained, soon} from './Contained.ts'
import {TestGuard, bootTime, shells} from './TestGuard.ts'

const sleeping = ['sleep', '1000'] as const
/**
 * A child; a daemon in a session of its own; and who has another environment, and a process group of its own. They ignore what
 * can be ignored.
 */
const spreading = [
  'sh',
  '-c',
  `trap "" HUP INT TERM QUIT
  sleep 1000 & echo $!
  setsid sh -c 'sleep 1000 & echo $!'
  env -i perl -e 'setpgrp; $| = 1; print "$$\\n"; sleep 1000' &
  wait`,
] as const

interface Tier {
  leads: boolean
  inCgroup: boolean
}
const tiers: [string, Tier][] = [
  ['a session of its own', {leads: true, inCgroup: false}],
  ['the session of leash', {leads: false, inCgroup: false}],
  ...(canContainByCgroup() ? [['a cgroup', {leads: true, inCgroup: true}] as [string, Tier]] : []),
]

/** A guard that has a job. */
interface Guarded extends AsyncDisposable {
  guard: TestGuard
  job: Contained
  /** The directory of its cgroup, if it has one. */
  directory: string
}

const guarded = async (
  shell: readonly string[],
  {leads, inCgroup}: Tier,
  argv: readonly string[] = sleeping,
): Promise<Guarded> => {
  const cgroup = inCgroup ? Cgroup.make(Cgroup.place(`leash-test-${randomUUID()}`)) : undefined
  const directory = cgroup?.directory ?? ''
  const job = await Contained.start(
    (root) => {
      if (cgroup) moveInto(cgroup, root)
      return Promise.resolve(cgroup ?? new ProcessTree(root))
    },
    leads,
    ...argv,
  )
  const guard = new TestGuard({shell, marker: job.marker, directory})
  guard.tell(`job ${job.pid} ${leads ? 'leads' : 'shares'} ${inCgroup ? 'inside' : 'none'}`)
  await guard.says(/ready\n/)
  return {
    guard,
    job,
    directory,
    [Symbol.asyncDispose]: async () => {
      await guard[Symbol.asyncDispose]()
      await job[Symbol.asyncDispose]()
    },
  }
}

describe.each(shells.map((shell) => [shell.join(' '), shell] as const))('in %s', (_, shell) => {
  describe.each(tiers)('the guard of a job in %s', (__, tier) => {
    const start = (...argv: readonly string[]): Promise<Guarded> =>
      guarded(shell, tier, argv.length > 0 ? argv : sleeping)

    test('ends the whole tree when the time has come, not before, and says when it was empty', async () => {
      await using stage = await start(...spreading)
      const {guard, job} = stage
      await job.numbers(3)
      const deadline = bootTime() + 30
      guard.tell(`until ${deadline}`)
      await guard.says(new RegExp(`^until ${deadline}$`, 'm'))
      const ended = Number((await guard.says(/ended \d+\n/)).slice('ended '.length))
      expect(ended).toBeGreaterThanOrEqual(deadline)
      expect(ended).toBeLessThanOrEqual(bootTime())
      await job.isGone()
      expect(guard.cleanEnd).toBeUndefined()
    })

    test('ends it at once when told to, and does not let that be called off', async () => {
      await using stage = await start()
      const {guard, job} = stage
      guard.tell('until 0', `until ${bootTime() + 100_000}`)
      await guard.says(/ended \d+\n/)
      await job.isGone()
    })

    test('waits longer when it is told a later time', async () => {
      await using stage = await start()
      const {guard, job} = stage
      const first = bootTime() + 30
      guard.tell(`until ${first}`, `until ${first + 100_000}`)
      await until('the first moment to pass', () => bootTime() > first + 30, soon)
      expect(guard.said).not.toContain('ended')
      expect(isAlive(job.pid)).toBe(true)
    })

    test('does not wait longer than it was told last', async () => {
      await using stage = await start()
      const {guard, job} = stage
      guard.tell(`until ${bootTime() + 100_000}`, `until ${bootTime() + 10}`)
      await guard.says(/ended \d+\n/)
      await job.isGone()
    })

    test('ends the whole tree when leash has died, and then makes the clean end with the ticket', async () => {
      await using stage = await start(...spreading)
      const {guard, job, directory} = stage
      await job.numbers(3)
      guard.tell(`until ${bootTime() + 100_000}`, 'ticket the-ticket')
      guard.endInput()
      await guard.end()
      expect(job.processes()).toEqual([])
      await job.isGone()
      expect(guard.cleanEnd).toBe('the-ticket\n')
      await until('the timer to be gone', () => guard.timerPid === undefined, soon)
      expect(directory !== '' && existsSync(directory)).toBe(false)
    })

    test('makes no clean end without a ticket', async () => {
      await using stage = await start()
      stage.guard.endInput()
      await stage.guard.end()
      await stage.job.isGone()
      expect(stage.guard.cleanEnd).toBeUndefined()
    })

    test('kills nothing when the tree was seen empty, neither when the time has come nor when leash has died', async () => {
      await using stage = await start()
      const {guard, job} = stage
      const deadline = bootTime() + 30
      guard.tell('ticket the-ticket', `until ${deadline}`, 'empty')
      await until('the moment to pass', () => bootTime() > deadline + 20, soon)
      expect(isAlive(job.pid)).toBe(true)
      guard.tell(`until ${bootTime()}`)
      guard.endInput()
      await guard.end()
      expect(isAlive(job.pid)).toBe(true)
      expect(guard.cleanEnd).toBe('the-ticket\n')
    })
  })

  describe('the guard', () => {
    const session: Tier = {leads: true, inCgroup: false}

    test.each(['HUP', 'INT', 'QUIT', 'TERM', 'PIPE', 'TSTP', 'TTIN', 'TTOU'])(
      'is not bothered by %s',
      async (signal) => {
        await using stage = await guarded(shell, session)
        const {guard, job} = stage
        process.kill(-guard.pid, `SIG${signal}`)
        guard.tell('until 0')
        await guard.says(/ended \d+\n/)
        await job.isGone()
      },
    )

    test('ends a tree that somebody has stopped', async () => {
      await using stage = await guarded(shell, session)
      await stage.job.stop()
      stage.guard.endInput()
      await stage.job.isGone()
    })

    test.each(['leads', 'shares'])(
      'calls a tree empty of which there is only a zombie, if it %s the session',
      async (how) => {
        // Its parent never asks how it ended.
        const script = `my $job = fork; if (!$job) { ${how === 'leads' ? 'setsid();' : ''} exit } $| = 1; print "$job\\n"; sleep 1000`
        const contain = (root: {pid: number; leads: boolean; marker: string}) =>
          Promise.resolve(new ProcessTree(root))
        await using parent = await Contained.start(contain, true, 'perl', '-MPOSIX=setsid', '-e', script)
        const [zombie = 0] = await parent.numbers(1)
        await until('it to end', () => !isAlive(zombie), soon)
        await using guard = new TestGuard({shell})
        guard.tell(`job ${zombie} ${how} none`, 'ticket the-ticket')
        guard.endInput()
        await guard.end()
        expect(guard.cleanEnd).toBe('the-ticket\n')
      },
    )

    test('leaves who is only called like a member of the session', async () => {
      await using stage = await guarded(shell, session)
      const directory = scratchDirectory('names')
      try {
        const program = path.join(directory, `) S 1 ${stage.job.pid} `)
        symlinkSync('/bin/sleep', program)
        await using stranger = await Contained.start(
          (root) => Promise.resolve(new ProcessTree(root)),
          true,
          program,
          '1000',
        )
        await until('it to be called so', () => stranger.name.startsWith(') S 1 '), soon)
        stage.guard.endInput()
        await stage.job.isGone()
        await stage.guard.end()
        expect(isAlive(stranger.pid)).toBe(true)
      } finally {
        rmSync(directory, {recursive: true})
      }
    })

    test('obeys though its timer was stopped', async () => {
      await using stage = await guarded(shell, session)
      const {guard, job} = stage
      guard.tell(`until ${bootTime() + 100_000}`)
      await guard.says(/until \d+\n/)
      const timer = await until('it to have a timer', () => guard.timerPid, soon)
      process.kill(timer, 'SIGSTOP')
      await until('it to stop', () => isStopped(timer), soon)
      guard.tell('until 0')
      await guard.says(/ended \d+\n/)
      await job.isGone()
    })

    test.skipIf(!canContainByCgroup())(
      'takes a cgroup that is gone for empty (where one can be made)',
      async () => {
        await using stage = await guarded(shell, {leads: true, inCgroup: true})
        const {guard, job} = stage
        job.containment.dispose()
        guard.tell('ticket the-ticket')
        guard.endInput()
        await guard.end()
        expect(isAlive(job.pid)).toBe(true)
        expect(guard.cleanEnd).toBe('the-ticket\n')
      },
    )

    test.skipIf(!canContainByCgroup())(
      'moves the job into its cgroup before it is ready (where one can be made)',
      async () => {
        const cgroup = Cgroup.make(Cgroup.place(`leash-test-${randomUUID()}`))
        await using job = await Contained.start(() => Promise.resolve(cgroup), true, ...sleeping)
        await using guard = new TestGuard({shell, marker: job.marker, directory: cgroup.directory})
        guard.tell(`job ${job.pid} leads inside`)
        await guard.says(/^ready\n$/)
        expect(cgroup.pids()).toEqual([job.pid])
        guard.endInput()
        await job.isGone()
        await guard.end()
      },
    )

    test('says that it cannot move a job into its cgroup, and guards it without', async () => {
      await using job = await Contained.start(
        (root) => Promise.resolve(new ProcessTree(root)),
        true,
        ...sleeping,
      )
      await using guard = new TestGuard({shell, marker: job.marker, directory: '/nowhere'})
      guard.tell(`job ${job.pid} leads inside`)
      await guard.says(/^refused\n$/)
      guard.endInput()
      await job.isGone()
      await guard.end()
    })

    test('ends by itself when leash has died before there was a job', async () => {
      await using guard = new TestGuard({shell})
      guard.endInput()
      await guard.end()
      expect(guard.cleanEnd).toBeUndefined()
    })

    test.skipIf(!canContainByCgroup())(
      'removes a cgroup that leash had just made (where one can be made)',
      async () => {
        const {directory} = Cgroup.make(Cgroup.place(`leash-test-${randomUUID()}`))
        await using guard = new TestGuard({shell, directory})
        guard.endInput()
        await guard.end()
        expect(existsSync(directory)).toBe(false)
      },
    )

    test('does not stand where it could not see a tree', async () => {
      await using guard = new TestGuard({
        shell: [path.join('/bin', shell[0] ?? ''), ...shell.slice(1)],
        env: {PATH: '/nowhere'},
      })
      await guard.end()
    })

    test('does not stand with a marker that others could have', async () => {
      await using guard = new TestGuard({shell, marker: 'LEASH_RUN_'})
      await guard.end()
    })
  })
})
