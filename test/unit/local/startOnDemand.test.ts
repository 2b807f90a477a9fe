import {spawn, spawnSync} from 'node:child_process'
import {once} from 'node:events'
import {
  chownSync,
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import {type Socket, connect, createServer} from 'node:net'
import path from 'node:path'
import {afterEach, beforeEach, describe, expect, test} from 'vitest'
import {type Place} from '../../../src/lib/local/place.ts'
import {answers, engineLink, startOnDemand} from '../../../src/lib/local/startOnDemand.ts'
import {Clock} from '../../../src/lib/core/clock.ts'
import {LeashError} from '../../../src/lib/core/errors.ts'
import {systemClock} from '../../../src/lib/systemClock.ts'
import {FakeClock} from '../../support/fakeClock.ts'
import {parentOf} from '../../support/processes.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {until} from '../../support/wait.ts'

/** What a fixture found itself in. */
interface Start {
  pid: number
  session: number
  cwd: string
  env: Record<string, string>
  descriptors: Record<string, string>
}

const fixture = path.join(import.meta.dirname, 'engine.fixture.cjs')

let place: Place
beforeEach(() => {
  const directory = scratchDirectory('start')
  place = {directory, socketPath: path.join(directory, 'socket')}
})
afterEach(() => {
  for (const {pid} of starts()) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
  rmSync(place.directory, {recursive: true, force: true})
})

const starts = (): Start[] =>
  readdirSync(place.directory)
    .filter((name) => name.endsWith('.start'))
    .map((name) => JSON.parse(readFileSync(path.join(place.directory, name), 'utf8')) as Start)

const start = (delayMs = 0, fault = '', clock = systemClock()): Promise<boolean> =>
  startOnDemand(
    place,
    {argv: [process.execPath, fixture, place.socketPath, String(delayMs), fault], env: {ONLY: 'this'}},
    clock,
  )
const killAll = async (): Promise<void> => {
  for (const {pid} of starts()) process.kill(pid, 'SIGKILL')
  // Its first thread may be gone before the one that closes its socket.
  await until('nobody to answer', async () => !(await answers(place.socketPath)), {withinMs: 5000})
}
const turn = (): string => path.join(place.directory, 'starting')

describe('a client that finds no engine', () => {
  test('starts one, of a session of its own, without its environment, and nobody is its parent', async () => {
    expect(await start()).toBe(true)
    const [engine] = starts()
    expect(engine).toMatchObject({cwd: '/', env: {ONLY: 'this'}})
    expect(Object.keys(engine?.env ?? {})).not.toContain('PATH')
    const {pid = 0, session, descriptors = {}} = engine ?? {}
    expect(parentOf(pid)).not.toBe(process.pid)
    expect(session).not.toBe(sessionOf(process.pid))
    for (const standard of ['0', '1', '2']) expect(descriptors[standard]).toBe('/dev/null')
    expect(await answers(place.socketPath)).toBe(true)
  })

  test('finds that one the next time', async () => {
    await start()
    expect(await start()).toBe(false)
    expect(starts()).toHaveLength(1)
  })

  test('does not replace one that others crowd around', async () => {
    const script = `require('net').createServer().listen({path: process.argv[1], backlog: 1}, () => {
      process.stdout.write('listens')
      process.kill(process.pid, 'SIGSTOP')
    })`
    const busy = spawn(process.execPath, ['-e', script, place.socketPath], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const crowd: Socket[] = []
    try {
      await once(busy.stdout, 'data')
      let refused: unknown
      while (refused === undefined && crowd.length < 100) {
        const one = connect(place.socketPath)
        crowd.push(one)
        refused = await new Promise((resolve) => {
          one.once('connect', () => resolve(undefined))
          one.once('error', resolve)
        })
      }
      expect(refused).toMatchObject({code: 'EAGAIN'})
      expect(await start()).toBe(false)
      expect(starts()).toEqual([])
    } finally {
      for (const one of crowd) one.destroy()
      busy.kill('SIGKILL')
    }
  })

  test('starts another in place of one that was killed', async () => {
    await start()
    await killAll()
    expect(await start()).toBe(true)
    expect(starts()).toHaveLength(2)
  })

  test('waits for the one that another client starts', async () => {
    const all = await Promise.all(Array.from({length: 20}, () => start(100)))
    expect(all).toEqual(all.map(() => true))
    expect(starts()).toHaveLength(1)
    expect(readdirSync(place.directory)).not.toContain('starting')
  })

  test.each<[string, () => void]>([
    [
      'was killed',
      () => {
        writeFileSync(turn(), String(deadProcess()))
        // Its turn would not be over in time.
        const lateS = Date.now() / 1000 + 9
        utimesSync(turn(), lateS, lateS)
      },
    ],
    [
      'stands still',
      () => {
        writeFileSync(turn(), String(process.pid))
        utimesSync(turn(), 1000, 1000)
      },
    ],
  ])('does not wait for another client that %s in its turn', async (_, leave) => {
    leave()
    expect(await start()).toBe(true)
  })

  test('has time to start one itself when another client stands still in its turn', async () => {
    const time = new FakeClock()
    writeFileSync(turn(), '1')
    utimesSync(turn(), time.wallMs() / 1000, time.wallMs() / 1000)
    const started = start(0, '', new Clock(time))
    started.catch(() => {})
    const isOurs = (): boolean => existsSync(turn()) && readFileSync(turn(), 'latin1') === String(process.pid)
    for (let ms = 0; ms < 20_000 && !isOurs(); ms += 10) await time.advance(10)
    expect(await started).toBe(true)
  })

  test('tells what keeps the engine from starting, and leaves its turn to the next', async () => {
    const fault = new LeashError('config', 'the disk is full', 'make room')
    await expect(start(0, engineLink.failed(fault))).rejects.toMatchObject({
      code: 'config',
      message: 'the disk is full',
      wayOut: 'make room',
    })
    expect(await start()).toBe(true)
  })

  test('says so when it may open no more files', async () => {
    const limitFiles = (soft: string): void => {
      spawnSync('prlimit', ['--pid', String(process.pid), `--nofile=${soft}:`])
    }
    const before = spawnSync('sh', ['-c', 'ulimit -Sn'], {encoding: 'utf8'}).stdout.trim()
    const files: number[] = []
    // Loads what it needs of Node.
    await start()
    await killAll()
    limitFiles('256')
    try {
      expect(() => {
        for (;;) files.push(openSync('/dev/null', 'r'))
      }).toThrow('EMFILE')
      // Enough to ask whether somebody answers, and to take its turn.
      for (const file of files.splice(-2)) closeSync(file)
      await expect(start()).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('could be started: spawn /bin/sh EMFILE') as string,
      })
    } finally {
      for (const file of files) closeSync(file)
      limitFiles(before)
    }
    expect(await start()).toBe(true)
  })

  test('says so when the engine ends without a word', async () => {
    const program = {argv: ['/bin/false'] as const, env: {}}
    await expect(startOnDemand(place, program, systemClock())).rejects.toMatchObject({
      code: 'unavailable',
      message: 'no engine for the locks of this user on this machine could be started: the engine ended',
    })
  })
})

describe('what stands in the place of the socket', () => {
  test('and is none, or not ours, is not connected to', async () => {
    writeFileSync(place.socketPath, '')
    await expect(start()).rejects.toMatchObject({
      code: 'permission',
      message: expect.stringContaining('no socket') as string,
    })
    expect(starts()).toEqual([])
  })

  test.skipIf(process.getuid?.() !== 0)('and belongs to somebody else is not connected to', async () => {
    const server = createServer().listen(place.socketPath)
    await new Promise((resolve) => server.once('listening', resolve))
    chownSync(place.socketPath, 65_533, 65_533)
    await expect(start()).rejects.toMatchObject({
      code: 'permission',
      message: expect.stringContaining('a socket of uid 65533') as string,
    })
    await new Promise((resolve) => server.close(resolve))
  })

  test('and cannot be asked is not taken for nobody, whom another engine may replace', async () => {
    const script =
      'use IO::Socket::UNIX; $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => shift); $| = 1; print 1; sleep 60'
    const other = spawn('perl', ['-e', script, place.socketPath], {stdio: ['ignore', 'pipe', 'inherit']})
    try {
      await once(other.stdout, 'data')
      await expect(start()).rejects.toMatchObject({
        code: 'unavailable',
        message: `nobody can be asked at ${place.socketPath}: EPROTOTYPE`,
      })
      expect(starts()).toEqual([])
    } finally {
      other.kill('SIGKILL')
    }
  })

  test('after an engine was killed answers nobody', async () => {
    await start()
    await killAll()
    expect(await answers(place.socketPath)).toBe(false)
  })
})

const sessionOf = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ')[3])

/** The number of a process that has been there. */
const deadProcess = (): number => spawnSync('true').pid
