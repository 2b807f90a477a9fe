import {spawn, spawnSync} from 'node:child_process'
import {once} from 'node:events'
import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {KeptProcess} from '../../../src/lib/child/keptProcess.ts'
import {type Processes, identifyKept, runningProcesses} from '../../../src/lib/child/processIdentity.ts'
import {ProcessTree} from '../../../src/lib/child/processTree.ts'
import {systemClock} from '../../../src/lib/systemClock.ts'
import {isAlive, isStopped} from '../../support/processes.ts'
import {until} from '../../support/wait.ts'
import {strangerUid} from '../config/temporaryWorld.ts'
import {Contained, soon} from './Contained.ts'

const start = (...argv: readonly string[]): Promise<Contained> =>
  Contained.start((root) => Promise.resolve(new ProcessTree(root)), true, ...argv)

const keep = (pid: number, processes: Processes = runningProcesses): KeptProcess & Disposable => {
  const kept = new KeptProcess(
    {pid, startTicks: runningProcesses.startOf(pid) ?? NaN},
    systemClock(),
    processes,
  )
  return Object.assign(kept, {[Symbol.dispose]: () => kept.close()})
}

const patient = `trap "echo TERM; exit 3" TERM; echo runs; while :; do sleep 0.02; done`

describe('a process that is kept', () => {
  test('is told a signal together with its descendants, though they were stopped', async () => {
    await using job = await start('sh', '-c', `setsid -w sh -c '${patient}' & ${patient}`)
    await job.says(/runs\nruns/)
    await job.stop()
    using kept = keep(job.pid)
    kept.tell('SIGTERM')
    expect(await job.end()).toBe(3)
    await job.says(/TERM\nTERM/)
    await until('all to end', () => kept.isEmpty(), soon)
  })

  test('is killed with its descendants, nobody of whom gets away by being forked just then', async () => {
    const forking = `$| = 1; print "runs\\n"; for (1 .. 2000) { my $pid = fork // die; if (!$pid) { sleep 1000; exit } select undef, undef, undef, 0.0005 } sleep 1000`
    await using job = await start('sh', '-c', `perl -e '${forking}' & wait`)
    await job.says(/runs/)
    // Slow enough for somebody to be forked between any two steps.
    const slowly: Processes = {
      startOf: (pid) => {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2)
        return runningProcesses.startOf(pid)
      },
    }
    using kept = keep(job.pid, slowly)
    kept.kill()
    await job.isGone()
    expect(kept.isEmpty()).toBe(true)
  })

  test('has its descendants remembered once they were seen, though it ends before them', async () => {
    await using job = await start('sh', '-c', `(trap "" TERM; echo $$; exec sleep 1000) & ${patient}`)
    await job.says(/\d+\n/)
    await job.says(/runs/)
    using kept = keep(job.pid)
    kept.tell('SIGTERM')
    expect(await job.end()).toBe(3)
    expect(kept.isAlive()).toBe(false)
    expect(kept.isEmpty()).toBe(false)
    expect(kept.pids()).toHaveLength(1)
    kept.kill()
    await job.isGone()
    expect(kept.isEmpty()).toBe(true)
  })

  test('is said to have ended when it has, though others go on', async () => {
    await using job = await start('sh', '-c', 'sleep 1000 & echo $!; wait')
    const [left = 0] = await job.numbers(1)
    using kept = keep(job.pid)
    expect(kept.isAlive()).toBe(true)
    expect(kept.ended.aborted).toBe(false)
    process.kill(job.pid, 'SIGKILL')
    await until('its end to be noticed', () => kept.ended.aborted, soon)
    expect(isAlive(left)).toBe(true)
  })

  test('has ended if nobody has asked yet how it ended', async () => {
    await using parent = await start(
      ...[
        'perl',
        '-e',
        '$| = 1; my $child = fork // die; sleep 1000 unless $child; print "$child\\n"; sleep 1000',
      ],
    )
    const [pid = 0] = await parent.numbers(1)
    using kept = keep(pid)
    process.kill(pid, 'SIGKILL')
    await until('its end to be noticed', () => kept.ended.aborted, soon)
    expect(kept.isEmpty()).toBe(true)
  })

  test('is never taken for who has got its number: nobody is signalled', async () => {
    await using job = await start('sh', '-c', 'echo runs; exec sleep 1000')
    await job.says(/runs/)
    let isReused = false
    const processes: Processes = {
      startOf: (pid) => (runningProcesses.startOf(pid) ?? NaN) + (isReused && pid === job.pid ? 1 : 0),
    }
    using kept = keep(job.pid, processes)
    expect(kept.pids()).toEqual([job.pid])
    isReused = true
    expect(kept.isAlive()).toBe(false)
    kept.tell('SIGTERM')
    kept.kill()
    expect(kept.isEmpty()).toBe(true)
    await until('its end to be noticed', () => kept.ended.aborted, soon)
    expect(isAlive(job.pid) && !isStopped(job.pid)).toBe(true)
  })

  test('is ended without us, though we descend from it', async () => {
    const source = (name: string): string => path.resolve(import.meta.dirname, '../../../src/lib', name)
    const act = `
      const {KeptProcess} = await import('${source('child/keptProcess.ts')}')
      const {identifyKept} = await import('${source('child/processIdentity.ts')}')
      const {systemClock} = await import('${source('systemClock.ts')}')
      const kept = new KeptProcess(identifyKept(String(process.ppid)), systemClock())
      kept.tell('SIGTERM')
      kept.kill()
      console.log('spared', kept.isEmpty())
      process.exit()`
    await using job = await start(
      'sh',
      '-c',
      'trap "" TERM; "$@"; :',
      'sh',
      process.execPath,
      '--import',
      'tsx',
      ...['--input-type=module', '-e', act],
    )
    await job.says(/spared/)
    expect(await job.end()).toBe('SIGKILL')
  })
})

describe('--keep', () => {
  test('takes the number of a running process, and adds when that started', async () => {
    await using job = await start('sleep', '1000')
    const startTicks = runningProcesses.startOf(job.pid)
    expect(startTicks).toBeGreaterThan(0)
    expect(identifyKept(String(job.pid))).toEqual({pid: job.pid, startTicks})
  })

  const refusal = (text: string): unknown => {
    try {
      return identifyKept(text)
    } catch (error) {
      return error
    }
  }

  test.each([
    ['', 'is no process number'],
    ['abc', 'is no process number'],
    ['-5', 'is no process number'],
    ['0', 'is no process number'],
    ['12.5', 'is no process number'],
    ['0x10', 'is no process number'],
    ['1', 'is the first process, which cannot be ended'],
    [String(process.pid), 'is leash itself'],
    ['4194305', 'is no running process'],
    ['99999999999999999999', 'is no running process'],
  ])('refuses %j: it %s', (text, rule) => {
    expect(refusal(text)).toMatchObject({code: 'usage', message: `--keep ${JSON.stringify(text)} ${rule}`})
  })

  test('refuses a process that has ended, and one that nobody has asked yet how it ended', async () => {
    const child = spawn('true')
    const ended = once(child, 'exit')
    // Until the event loop turns, Node does not ask.
    const endsAtMs = Date.now() + soon.withinMs
    while (isAlive(child.pid ?? 0) && Date.now() < endsAtMs);
    expect(refusal(String(child.pid))).toMatchObject({message: `--keep "${child.pid}" is no running process`})
    await ended
    expect(refusal(String(child.pid))).toMatchObject({message: `--keep "${child.pid}" is no running process`})
  })

  test('refuses a thread, which has files in /proc as a process has', () => {
    const [thread = ''] = spawnSync('ls', [`/proc/${process.pid}/task`], {encoding: 'utf8'})
      .stdout.split('\n')
      .filter((one) => one !== String(process.pid))
    expect(refusal(thread)).toMatchObject({message: `--keep "${thread}" is no running process`})
  })

  describe.skipIf(process.getuid?.() !== 0)('(needs root)', () => {
    /** What is said of this process by one that is started through another program. */
    const refusalThrough = (...through: readonly string[]): string => {
      const source = path.resolve(import.meta.dirname, '../../../src/lib/child/processIdentity.ts')
      const act = `
        const {identifyKept} = await import('${source}')
        try { identifyKept('${process.pid}') } catch (error) { console.log(error.code, error.message) }`
      const node = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', act]
      return spawnSync('env', [...through, ...node], {encoding: 'utf8'}).stdout
    }
    const withoutProc = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /proc && exec "$@"', 'sh']
    const canUnmount = spawnSync('env', [...withoutProc, 'true']).status === 0

    test("refuses another user's process", () => {
      const uid = String(strangerUid)
      const said = refusalThrough('setpriv', '--reuid', uid, '--regid', uid, '--clear-groups')
      expect(said).toBe(`usage --keep "${process.pid}" is another user's process\n`)
    })

    test.skipIf(!canUnmount)('says that it needs /proc, where there is none', () => {
      expect(refusalThrough(...withoutProc)).toBe('config --keep needs /proc, which is not there\n')
    })
  })
})
