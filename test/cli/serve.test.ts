import {describe, expect, test} from 'vitest'
import {isAlive} from '../support/processes.ts'
import {until} from '../support/wait.ts'
import {LocalMachine} from './support/LocalMachine.ts'

describe.skipIf(!LocalMachine.isPossible).concurrent('leash serve', () => {
  test('says where it serves, takes over from an engine, and ends at TERM and INT; no lock is lost by that', async () => {
    await using machine = new LocalMachine()
    await using holder = await machine.holder('x', ['--ttl', '9s'])
    const first = await machine.engine()
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      await using serving = machine.start(['serve'])
      const said = await serving.says(/^serves user root on this machine at unix:\/\/.*$/m)
      expect(said).toContain(await machine.socket())
      await until('the other engine to end', () => !isAlive(first), {withinMs: 10_000})
      serving.kill(signal)
      expect(await serving.end()).toMatchObject({status: 0, stderr: ''})
      await machine.engine([serving.pid])
    }
    expect(await machine.run(['run', '--local', '-w', '12s', '-l', 'x', 'echo', 'never'])).toMatchObject({
      status: 75,
    })
    holder.endInput()
    expect((await holder.end()).status).toBe(0)
  })

  test('says that another one has taken over', async () => {
    await using machine = new LocalMachine()
    await using serving = machine.start(['serve'])
    await serving.says(/^serves/m)
    await using next = machine.start(['serve'])
    await next.says(/^serves/m)
    expect(await serving.end()).toMatchObject({
      status: 0,
      stderr: 'leash: another engine of this user has taken over\n',
    })
    expect(await machine.run(['run', '--local', '-n', '-l', 'x', 'true'])).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    })
    expect(machine.engines()).toEqual([next.pid])
  })

  test('is not for names', async () => {
    await using machine = new LocalMachine()
    expect(await machine.run(['serve', 'x'])).toEqual({
      status: 64,
      stdout: '',
      stderr:
        'leash: serve was given "x", and there is nothing to name; leave it out: there is one engine for a user\n',
    })
  })
})
