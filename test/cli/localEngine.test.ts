import {cpSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {Enclosure, canContainByCgroup} from '../support/cgroups.ts'
import {descriptorsOf} from '../support/engines.ts'
import {isAlive, parentOf} from '../support/processes.ts'
import {until} from '../support/wait.ts'
import {LocalMachine} from './support/LocalMachine.ts'
import {isRoot} from './support/anotherUser.ts'
import {leashProgram} from './support/leash.ts'

const nothingSaid = {stdout: '', stderr: ''}

describe.skipIf(!LocalMachine.isPossible).concurrent('an engine', () => {
  test('has nothing of what the command that started it was part of', async () => {
    await using machine = new LocalMachine()
    const lock = path.join(machine.machine.root, 'lock')
    // Above 15, where Node itself does not look.
    const through = ['bash', '-c', 'exec 20>"$0" && flock 20 && exec "$@"', lock]
    const end = await machine.run(['run', '--local', '-l', 'x', 'true'], {through, env: {SECRET: 'word'}})
    expect(end).toEqual({status: 0, ...nothingSaid})
    const engine = await machine.engine()
    expect(descriptorsOf(engine).filter((file) => file === lock)).toEqual([])
    for (const standard of [0, 1, 2]) expect(readlinkSync(`/proc/${engine}/fd/${standard}`)).toBe('/dev/null')
    expect(readFileSync(`/proc/${engine}/environ`, 'utf8')).not.toMatch(/SECRET|LEASH/)
    const init = parentOf(engine) ?? 0
    expect(readFileSync(`/proc/${init}/cmdline`, 'utf8')).not.toContain('leash')
  })

  test.each([['auto'], ['group']])(
    'that is started inside a job (--contain %s) is neither ended with it nor left behind by it',
    async (contain) => {
      await using machine = new LocalMachine()
      await using etcd = await EtcdServer.start()
      const inner = [process.execPath, leashProgram, 'run', '--local', '-l', 'inner', 'echo', 'inner']
      const outer = ['run', '--endpoints', etcd.url, '--contain', contain, '-l', 'outer', '--']
      expect(await machine.run([...outer, ...inner])).toEqual({status: 0, stdout: 'inner\n', stderr: ''})
      const engine = await machine.engine()
      expect(isAlive(engine)).toBe(true)
    },
  )

  test('that is killed is started again by a holder, who keeps its lease', async () => {
    await using machine = new LocalMachine()
    await using holder = await machine.holder('x', ['--ttl', '9s'])
    const killed = await machine.killEngine()
    await machine.engine([killed])
    // For longer than the lease would last without a renewal.
    expect(await machine.run(['run', '--local', '-w', '12s', '-l', 'x', 'echo', 'never'])).toMatchObject({
      status: 75,
      stdout: '',
    })
    holder.endInput()
    expect((await holder.end()).status).toBe(0)
    expect(await machine.run(['run', '--local', '-n', '-l', 'x', 'true'])).toEqual({
      status: 0,
      ...nothingSaid,
    })
  })

  test('is started by a command whose stdin, stdout and stderr are closed', async () => {
    await using machine = new LocalMachine()
    const through = ['sh', '-c', 'exec "$@" <&- >&- 2>&-', 'sh']
    expect(await machine.run(['run', '--local', '-l', 'x', 'true'], {through})).toEqual({
      status: 0,
      ...nothingSaid,
    })
    const engine = await machine.engine()
    for (const standard of [0, 1, 2]) expect(readlinkSync(`/proc/${engine}/fd/${standard}`)).toBe('/dev/null')
  })

  test.skipIf(!isRoot)(
    'goes on when leash is removed beneath it, and so do those whom it serves',
    async () => {
      await using machine = new LocalMachine()
      const installed = path.resolve(leashProgram, '../../dist')
      const removed = path.join(machine.machine.root, 'dist')
      for (const file of ['leash.cjs', 'engine.cjs'])
        cpSync(path.join(installed, file), path.join(removed, file))
      const mount = `mount --bind '${removed}' '${installed}' && exec "$@"`
      const through = ['unshare', '--mount', 'sh', '-c', mount, 'sh']
      await using holder = await machine.holder('x', ['--ttl', '9s'], {through})
      const engine = await machine.engine()
      for (const file of readdirSync(removed)) rmSync(path.join(removed, file))
      expect(await machine.run(['run', '--local', '-l', 'y', 'true'])).toEqual({status: 0, ...nothingSaid})
      expect(machine.engines()).toEqual([engine])
      await machine.killEngine()
      // Another version starts another one; for longer than the lease would last without a renewal.
      expect(await machine.run(['run', '--local', '-w', '12s', '-l', 'x', 'echo', 'never'])).toMatchObject({
        status: 75,
        stdout: '',
      })
      holder.endInput()
      expect((await holder.end()).status).toBe(0)
    },
  )

  test('that is told to end together with those whom it serves, as by a unit, is the last one', async () => {
    await using machine = new LocalMachine()
    await using holder = machine.start(['run', '--local', '-l', 'x', '--', 'sh', '-c', 'echo runs; sleep 60'])
    await holder.says(/^runs/m)
    const engine = await machine.engine()
    // A login session sends both (SendSIGHUP= in systemd.kill(5)).
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.kill(engine, signal)
    holder.kill('SIGTERM')
    expect(await holder.end()).toEqual({status: 143, stdout: 'runs\n', stderr: ''})
    await until('the engine to end', () => !isAlive(engine), {withinMs: 5000})
    expect(machine.engines()).toEqual([])
    const next = await machine.run(['run', '--local', '-n', '-l', 'x', 'echo', 'mine'])
    expect(next).toEqual({status: 0, stdout: 'mine\n', stderr: ''})
  })

  test.skipIf(!canContainByCgroup())(
    'ends with the unit that started it, and nobody else loses a lock by that',
    async () => {
      await using machine = new LocalMachine()
      await using unit = new Enclosure()
      await using first = await machine.holder('of the unit', [], {through: unit.command([])})
      const engine = await machine.engine()
      expect(unit.pids()).toContain(engine)
      await using other = await machine.holder('x', ['--ttl', '9s'])
      unit.kill()
      await first.end()
      await machine.engine([engine])
      expect(isAlive(engine)).toBe(false)
      expect(await machine.run(['run', '--local', '-w', '12s', '-l', 'x', 'echo', 'never'])).toMatchObject({
        status: 75,
      })
      other.endInput()
      expect((await other.end()).status).toBe(0)
    },
  )

  test('that cannot start says why by the command that wants it, and nothing is destroyed', async () => {
    await using machine = new LocalMachine()
    await machine.run(['run', '--local', '-l', 'x', 'true'])
    const directory = path.dirname(await machine.socket())
    await machine.killEngine()
    const store = readdirSync(directory).filter((name) => name.startsWith('store.'))
    const files = store.map((name) => path.join(directory, name))
    for (const file of files) writeFileSync(file, 'no store at all')
    const complaint = {status: 78, stdout: '', stderr: expect.stringContaining('store') as string}
    expect(await machine.run(['run', '--local', '-l', 'x', 'echo', 'never'])).toEqual(complaint)
    expect(await machine.run(['serve'])).toEqual(complaint)
    for (const file of files) expect(readFileSync(file, 'utf8')).toBe('no store at all')
    expect(machine.engines()).toEqual([])
  })

  test('need not be there for the guard of a leash that was killed: it starts one, and gives the lock back', async () => {
    await using machine = new LocalMachine()
    await using holder = await machine.holder('x', ['--ttl', '1h'])
    await machine.killEngine()
    await holder.killHard()
    expect(await machine.run(['run', '--local', '-w', '20s', '-l', 'x', 'echo', 'mine'])).toMatchObject({
      status: 0,
      stdout: 'mine\n',
    })
  })
})
