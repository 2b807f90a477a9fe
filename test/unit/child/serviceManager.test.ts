import {ChildProcess, execFileSync} from 'node:child_process'
import {readFileSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest'
import {serviceManager, type ServiceManager} from '../../../src/lib/child/serviceManager.ts'
import {NotifySocket} from '../../support/NotifySocket.ts'
import {processesMarked, killMarked} from '../../support/processes.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {until} from '../../support/wait.ts'

let warnings: string[]
beforeEach(() => {
  warnings = []
})
const manager = (env: NodeJS.ProcessEnv): ServiceManager => {
  const own = warnings
  const made = serviceManager(env, (text) => own.push(text))
  if (made === undefined) throw new Error('nobody asked')
  return made
}

const watchdog = {WATCHDOG_USEC: '1000000'}
const failure = (fault: string): string =>
  `systemd does not hear of this hold (systemd-notify: ${fault}); check PATH, or unset NOTIFY_SOCKET`

test.each([[{}], [{NOTIFY_SOCKET: ''}], [watchdog]])('nobody is told who did not ask: %j', (env) => {
  expect(serviceManager(env, () => {})).toBeUndefined()
})

describe('with the real systemd-notify', () => {
  let socket: NotifySocket
  beforeEach(async () => {
    socket = await NotifySocket.bind()
  })
  afterEach(() => socket[Symbol.asyncDispose]())
  /** Again and again until something more is said: while one message is under way, another one is left out. */
  const untilHeard = (again: () => void): Promise<string[]> => {
    const before = socket.messages.length
    const heard = (): string[] | false => socket.messages.length > before && socket.messages
    return until('a message', () => heard() || (again(), false), {withinMs: 5000})
  }

  test('says READY, and a status for people', async () => {
    manager(socket.env).ready('acquired the lock nightly backup')
    expect(await socket.heard(1)).toEqual(['READY=1|STATUS=acquired the lock nightly backup'])
    expect(warnings).toEqual([])
  })

  test.each([
    ['that is meant for this process', {...watchdog, WATCHDOG_PID: `${process.pid}`}],
    ['that is meant for whoever speaks', watchdog],
  ])('a confirmed renewal feeds a watchdog %s', async (_, env) => {
    const systemd = manager({...socket.env, ...env})
    systemd.ready('x')
    await socket.heard(1)
    expect((await untilHeard(() => systemd.confirmed()))[1]).toBe('WATCHDOG=1')
  })

  test.each([
    ['is meant for another process', {...watchdog, WATCHDOG_PID: '1'}],
    ['is off', {WATCHDOG_USEC: '0'}],
    ['does not exist', {}],
  ])('a watchdog that %s is not fed', async (_, env) => {
    const systemd = manager({...socket.env, ...env})
    systemd.ready('x')
    await socket.heard(1)
    const heard = await untilHeard(() => {
      systemd.confirmed()
      systemd.ready('said instead')
    })
    expect(heard[1]).toBe('READY=1|STATUS=said instead')
  })

  test('a confirmed renewal says nothing before READY', async () => {
    const systemd = manager({...socket.env, ...watchdog})
    systemd.confirmed()
    // Would be left out.
    systemd.ready('x')
    expect(await socket.heard(1)).toEqual(['READY=1|STATUS=x'])
  })

  test('who stands again feeds the watchdog all the time, with nothing confirmed, until it has won', async () => {
    const systemd = manager({...socket.env, WATCHDOG_USEC: '30000'})
    systemd.ready('won')
    await socket.heard(1)
    systemd.standsAgain('stands again')
    const heard = await socket.heard(4)
    expect(heard.slice(1, 4)).toEqual(['STATUS=stands again|WATCHDOG=1', 'WATCHDOG=1', 'WATCHDOG=1'])
    const intervals = vi.spyOn(globalThis, 'clearInterval')
    systemd.ready('won again')
    await until('it', () => socket.messages.includes('READY=1|STATUS=won again'), {withinMs: 5000})
    expect(intervals).toHaveBeenCalledWith(expect.anything())
    intervals.mockRestore()
  })

  test('who stands again without a watchdog, or was never READY, feeds none', async () => {
    const systemd = manager(socket.env)
    systemd.ready('won')
    systemd.standsAgain('not heard before READY')
    await socket.heard(1)
    systemd.standsAgain('stands again')
    expect(await socket.heard(2)).toEqual(['READY=1|STATUS=won', 'STATUS=stands again'])
  })
})

describe('with a systemd-notify of our own', () => {
  let directory: string
  beforeEach(() => {
    directory = scratchDirectory('systemd-notify')
  })
  afterEach(() => {
    killMarked(`NOTIFY_SOCKET=${directory}`)
    rmSync(directory, {recursive: true})
  })
  const lines = (name: string): string[] => {
    try {
      return readFileSync(path.join(directory, name), 'utf8').split('\n').slice(0, -1)
    } catch {
      return []
    }
  }
  /** A manager whose systemd-notify is this script, in `directory`; `notes` has the arguments of each run. */
  const managerWith = (script: string, more: NodeJS.ProcessEnv = {}): ServiceManager => {
    const program = `#!/bin/sh\ncd '${directory}'\necho "$*" >>notes\n${script}\n`
    writeFileSync(path.join(directory, 'systemd-notify'), program, {mode: 0o755})
    return manager({PATH: `${directory}:/usr/bin:/bin`, NOTIFY_SOCKET: directory, ...watchdog, ...more})
  }
  const runs = (count: number, meanwhile = (): void => {}): Promise<boolean> =>
    until(`${count} runs`, () => (meanwhile(), lines('notes').length >= count), {withinMs: 5000})
  /** Confirms until there were so many runs: while one is under way, another one is left out. */
  const confirmUntil = (systemd: ServiceManager, count: number): Promise<boolean> =>
    runs(count, () => systemd.confirmed())

  test('a slow one is not joined by a second one, and the next confirmation is said', async () => {
    const systemd = managerWith('[ -e go ] || read line <slow')
    execFileSync('mkfifo', [path.join(directory, 'slow')])
    systemd.ready('x')
    await runs(1)
    for (let times = 0; times < 3; times++) systemd.confirmed()
    // Node has started a program when spawn returns.
    expect(processesMarked(`NOTIFY_SOCKET=${directory}`)).toHaveLength(1)
    writeFileSync(path.join(directory, 'go'), '')
    writeFileSync(path.join(directory, 'slow'), '\n')
    await confirmUntil(systemd, 2)
    expect(lines('notes').slice(0, 2)).toEqual(['--ready --status=x', 'WATCHDOG=1'])
  })

  test('the caller of ready, who is about to let a job go, does not wait for a program to be started', async () => {
    const systemd = managerWith(':')
    const spawned = vi.spyOn(ChildProcess.prototype as unknown as {spawn: () => void}, 'spawn')
    systemd.ready('x')
    expect(spawned).not.toHaveBeenCalled()
    await runs(1)
    expect(spawned).toHaveBeenCalledOnce()
    spawned.mockRestore()
  })

  test('one that stands still is ended after ten seconds, and the next confirmation is said', async () => {
    const timers = vi.spyOn(globalThis, 'setTimeout')
    const systemd = managerWith('[ -e stood ] || { >stood; exec sleep 600; }')
    systemd.ready('x')
    await runs(1)
    const [end] = timers.mock.calls.find(([, delayMs]) => delayMs === 10_000) ?? []
    timers.mockRestore()
    end?.()
    await confirmUntil(systemd, 2)
    expect(warnings).toEqual([failure('ended with SIGKILL')])
  })

  test('it gets the variables that it needs and no other, and nothing of our stdio', async () => {
    const script =
      'seen=$(readlink /proc/$$/fd/[0-2]); tr "\\0" "\\n" </proc/$$/environ >environ; echo "$seen" >stdio'
    managerWith(script, {SECRET: '1'}).ready('x')
    await until('its end', () => lines('stdio').length > 2, {withinMs: 5000})
    expect(lines('environ').toSorted()).toEqual([
      `NOTIFY_SOCKET=${directory}`,
      `PATH=${directory}:/usr/bin:/bin`,
    ])
    expect(lines('stdio')).toEqual(['/dev/null', '/dev/null', '/dev/null'])
  })

  test.each([
    ['fails', 'exit 1', 'ended with 1'],
    ['is killed', 'kill -KILL $$', 'ended with SIGKILL'],
  ])('that it %s is said once', async (_, script, fault) => {
    const systemd = managerWith(script)
    systemd.ready('x')
    await confirmUntil(systemd, 3)
    expect(warnings).toEqual([failure(fault)])
  })

  test('that there is none is said once', async () => {
    const systemd = manager({PATH: directory, NOTIFY_SOCKET: '/nowhere', ...watchdog})
    systemd.ready('x')
    await until('a warning', () => warnings.length > 0, {withinMs: 5000})
    systemd.confirmed()
    // Node emits this failure before anything else happens.
    await new Promise((resolve) => setImmediate(resolve))
    expect(warnings).toEqual([failure('not found')])
  })
})
