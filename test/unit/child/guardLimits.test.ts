import {spawnSync} from 'node:child_process'
import {randomUUID} from 'node:crypto'
import {existsSync, mkdirSync, rmdirSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {Cgroup} from '../../../src/lib/child/cgroup.ts'
import {ProcessTree} from '../../../src/lib/child/processTree.ts'
import {canContainByCgroup, moveInto} from '../../support/cgroups.ts'
import {isAlive} from '../../support/processes.ts'
import {pause, until, within} from '../../support/wait.ts'
import {strangerUid} from '../config/temporaryWorld.ts'
import {type Contain, Contained, soon} from './Contained.ts'
import {TestGuard, shells} from './TestGuard.ts'
import {guardScript} from './job.fixture.ts'

/** Trees that the guard cannot end, or cannot see, and numbers that are somebody else's by then. */
const isRoot = process.getuid?.() === 0
const bySession: Contain = (root) => Promise.resolve(new ProcessTree(root))
const sleeping = (leads = true): Promise<Contained> => Contained.start(bySession, leads, 'sleep', '1000')

/** How long a guard is watched that must not do something. */
const watchMs = 300

const another = ['setpriv', '--reuid', String(strangerUid), '--regid', String(strangerUid), '--clear-groups']
const withHiddenProcesses = [
  'unshare',
  '--mount',
  'sh',
  '-c',
  'mount -t proc -o hidepid=2 proc /proc && exec "$@"',
  'sh',
  ...another,
]
const canHide =
  isRoot && spawnSync(withHiddenProcesses[0] ?? '', [...withHiddenProcesses.slice(1), 'true']).status === 0

describe.skipIf(!isRoot)("a job that has become another user's (needs root)", () => {
  describe.each(shells.map((shell) => [shell.join(' '), shell] as const))('in %s', (_, shell) => {
    test.each<[string, readonly string[], boolean, boolean]>([
      ['in a session of its own', another, true, true],
      ['in the session of leash', another, false, true],
      [
        'in a session of its own, where such processes are not to be seen',
        withHiddenProcesses,
        true,
        canHide,
      ],
    ])('is waited for before the clean end is made: %s', async (__, through, leads, isPossible) => {
      if (!isPossible) return
      await using job = await sleeping(leads)
      await using guard = new TestGuard({shell, through, marker: job.marker})
      guard.tell(`job ${job.pid} ${leads ? 'leads' : 'shares'} none`, 'ticket the-ticket')
      await guard.says(/ready/)
      guard.endInput()
      await pause(watchMs)
      expect({ended: guard.hasEnded, cleanEnd: guard.cleanEnd}).toEqual({ended: false, cleanEnd: undefined})
      process.kill(job.pid, 'SIGKILL')
      await guard.end()
      expect(guard.cleanEnd).toBe('the-ticket\n')
    })

    test('is not said to have ended before it has', async () => {
      await using job = await sleeping()
      await using guard = new TestGuard({shell, through: another, marker: job.marker})
      guard.tell(`job ${job.pid} leads none`, 'until 0')
      await guard.says(/until 0/)
      await pause(watchMs)
      expect(guard.said).not.toContain('ended')
      process.kill(job.pid, 'SIGKILL')
      await guard.says(/ended \d+\n/)
    })
  })
})

const freezer = `/sys/fs/cgroup/freezer/leash-test-${process.pid}`
const canFreeze = isRoot && existsSync(path.dirname(freezer))

describe.skipIf(!canFreeze)(
  'a job that is frozen, and does not die of KILL (needs root and a freezer of cgroup v1)',
  () => {
    const freeze = (state: 'FROZEN' | 'THAWED'): void =>
      writeFileSync(path.join(freezer, 'freezer.state'), state)
    const start = async (inCgroup: boolean): Promise<[Contained, string]> => {
      if (!inCgroup) return [await sleeping(), '']
      const cgroup = Cgroup.make(Cgroup.place(`leash-test-${randomUUID()}`))
      const contain: Contain = (root) => {
        moveInto(cgroup, root)
        return Promise.resolve(cgroup)
      }
      return [await Contained.start(contain, true, 'sleep', '1000'), cgroup.directory]
    }

    test.each([
      ['session', false],
      ...(canContainByCgroup() ? [['cgroup', true] as [string, boolean]] : []),
    ] as [string, boolean][])('is waited for before the clean end is made, by %s', async (_, inCgroup) => {
      const [started, directory] = await start(inCgroup)
      await using job = started
      await using guard = new TestGuard({marker: job.marker, directory})
      guard.tell(`job ${job.pid} leads ${inCgroup ? 'inside' : 'none'}`, 'ticket the-ticket')
      await guard.says(/ready/)
      mkdirSync(freezer)
      try {
        writeFileSync(path.join(freezer, 'cgroup.procs'), String(job.pid))
        freeze('FROZEN')
        guard.endInput()
        await pause(watchMs)
        expect(isAlive(job.pid)).toBe(true)
        expect({ended: guard.hasEnded, cleanEnd: guard.cleanEnd}).toEqual({ended: false, cleanEnd: undefined})
        freeze('THAWED')
        await guard.end()
        expect(guard.cleanEnd).toBe('the-ticket\n')
      } finally {
        freeze('THAWED')
        await until('the freezer to be empty', () => !isAlive(job.pid), soon)
        rmdirSync(freezer)
      }
    })
  },
)

/** Processes that fork the next one and end, each in a session of its own; the last one stays. */
const chain = `$| = 1; print "runs\\n"; for (1 .. 400) { setsid(); select(undef, undef, undef, 0.01); _exit(0) if fork // die } sleep 1000`

test('a chain of processes is ended before the tree is called empty', async () => {
  await using job = await Contained.start(bySession, true, 'perl', '-MPOSIX=setsid,_exit', '-e', chain)
  await using guard = new TestGuard({marker: job.marker})
  guard.tell(`job ${job.pid} leads none`)
  await guard.says(/ready/)
  await job.says(/runs/)
  guard.endInput()
  await guard.end()
  // Nobody has a copy of its stdout any more: the end of that is on its way.
  await within('the end of its stdout', job.isGone(), {withinMs: 1000})
})

const withoutProc = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /proc && exec "$@"', 'sh']
const canUnmount = isRoot && spawnSync(withoutProc[0] ?? '', [...withoutProc.slice(1), 'true']).status === 0

describe.skipIf(!canUnmount)('where there is no /proc (needs root to take it away)', () => {
  describe.each(shells.map((shell) => [shell.join(' '), shell] as const))('in %s', (_, shell) => {
    test('the process group is ended in time, which is counted from the epoch', async () => {
      await using job = await Contained.start(bySession, true, 'sh', '-c', 'sleep 1000 & echo $!; wait')
      await job.numbers(1)
      await using guard = new TestGuard({shell, through: withoutProc, marker: job.marker})
      guard.tell(`job ${job.pid} leads none`, `until ${Math.floor(Date.now() / 10) + 100_000}`)
      await guard.says(/until \d+\n/)
      await pause(watchMs)
      expect(isAlive(job.pid)).toBe(true)
      const deadline = Math.floor(Date.now() / 10) + 50
      guard.tell(`until ${deadline}`)
      await guard.says(/ended \d+\n/)
      await job.isGone()
    })

    test.each([true, false])(
      'the job is ended when leash has died, and the clean end made (own group: %s)',
      async (leads) => {
        await using job = await sleeping(leads)
        await using guard = new TestGuard({shell, through: withoutProc, marker: job.marker})
        guard.tell(`job ${job.pid} ${leads ? 'leads' : 'shares'} none`, 'ticket the-ticket')
        await guard.says(/ready/)
        guard.endInput()
        await guard.end()
        await job.isGone()
        expect(guard.cleanEnd).toBe('the-ticket\n')
      },
    )
  })
})

const canRecycle = isRoot && spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true']).status === 0

describe.skipIf(!canRecycle)(
  'the number of a job that has ended, given to somebody else (needs root)',
  () => {
    test.each(['leads', 'shares'])('is not killed by: %s', (session) => {
      const inNamespace = ['--pid', '--fork', '--kill-child', '--mount-proc']
      const recycle = ['perl', path.join(import.meta.dirname, 'recycle.pl'), guardScript, session]
      const {stdout, stderr} = spawnSync('unshare', [...inNamespace, ...recycle], {
        encoding: 'utf8',
        timeout: 20_000,
        killSignal: 'SIGKILL',
      })
      expect({stdout, stderr}).toEqual({stdout: 'spared\n', stderr: ''})
    })
  },
)

/** The number of the system call that ends one thread. */
const exitNumbers: Partial<Record<NodeJS.Architecture, number>> = {x64: 60, arm64: 93}
const exitNumber = exitNumbers[process.arch]

describe.skipIf(exitNumber === undefined)('a process whose first thread has ended', () => {
  const script = `use threads; threads->create(sub { sleep 1000 while 1 }); $| = 1; print "$$\\n"; syscall(${exitNumber}, 0)`

  test.each<[string, boolean, string[]]>([
    [
      'its session, though it has another environment and group',
      false,
      ['sh', '-c', 'env -i perl -e "setpgrp; $0" & sleep 1000', script],
    ],
    [
      'its marker, though it has left the session',
      false,
      ['sh', '-c', 'setsid perl -e "$0" & sleep 1000', script],
    ],
    ...(canContainByCgroup()
      ? [['its cgroup', true, ['perl', '-e', script]] as [string, boolean, string[]]]
      : []),
  ])('is not taken for a zombie, but found by %s', async (_, inCgroup, argv) => {
    const cgroup = inCgroup ? Cgroup.make(Cgroup.place(`leash-test-${randomUUID()}`)) : undefined
    const contain: Contain = (root) => {
      if (cgroup) moveInto(cgroup, root)
      return Promise.resolve(cgroup ?? new ProcessTree(root))
    }
    await using job = await Contained.start(contain, true, ...argv)
    await using guard = new TestGuard({marker: job.marker, directory: cgroup?.directory ?? ''})
    guard.tell(`job ${job.pid} leads ${inCgroup ? 'inside' : 'none'}`)
    await guard.says(/ready/)
    const [pid = 0] = await job.numbers(1)
    await until('its first thread to end', () => !isAlive(pid), soon)
    guard.endInput()
    await guard.end()
    await job.isGone()
  })
})
