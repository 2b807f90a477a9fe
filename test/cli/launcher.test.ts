import {once} from 'node:events'
import {mkdirSync, symlinkSync} from 'node:fs'
import {constants} from 'node:os'
import path from 'node:path'
import {spawnSync} from 'node:child_process'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {LaunchProbe, passedOnByUs, shells} from '../support/LaunchProbe.ts'
import {pause, until} from '../support/wait.ts'

/*
 * bin/leash.cjs as a program of sh, in front of a program that only says what it inherits.
 */

let probe: LaunchProbe
beforeAll(async () => {
  probe = await LaunchProbe.make()
})
afterAll(() => probe?.[Symbol.dispose]())

const canHideProc = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/proc']).status === 0

describe.each(shells)('with %s as sh', (shell) => {
  const launcher = (): string[] => probe.through(shell)

  test('every argument arrives as it is', async () => {
    // Two of them have bytes in UTF-8 by which dash marks quotes.
    const args = [
      '',
      'a b',
      '*',
      '~',
      '$HOME',
      '`id`',
      '"',
      "'",
      '\\',
      '\n',
      '--',
      '-n',
      'Á',
      'È',
      '\u0081',
      '🙂',
    ]
    expect((await probe.says([...launcher(), ...args])).args).toEqual(args)
  })

  test('an environment arrives byte by byte, whatever its names, and nothing is added', async () => {
    const env = {
      'spring.profiles.active': 'a',
      'with-dash': 'b',
      EMPTY: '',
      LINES: 'a\nb=c\n',
      UNICODE: 'größe 🙂',
    }
    const before = String.raw`
      f() { echo "f's body"; }
      export -f f
      export LATIN=$'caf\xe9' LATIN_LINES=$'\xe9\n\xe9\n' REPLACED=$'\xef\xbf\xbd'
      unset PWD OLDPWD
    `
    const {env: given, rawEnv, variables} = await probe.says(launcher(), {env, before})
    const {PATH: _path, TEST_LAUNCH: _mark, SHLVL: _level, _: _program, 'BASH_FUNC_f%%': f, ...others} = given
    expect(others).toEqual({...env, REPLACED: '\ufffd'})
    expect(f).toContain("f's body")
    expect(rawEnv).toEqual({LATIN: 'caf\xe9', LATIN_LINES: '\xe9\n\xe9\n'})
    expect(variables).not.toContain('LEASH_LAUNCH')
  })

  test('variables that the launcher uses itself arrive as they were', async () => {
    const env = {leash_stat: '1', leash_fd: '2', leash_witness: '3', _: '4', LEASH_LAUNCH: 'stale'}
    const {LEASH_LAUNCH: _stale, ...others} = env
    expect((await probe.says(launcher(), {env})).env).toMatchObject(others)
    expect((await probe.says(launcher(), {env})).env).not.toHaveProperty('LEASH_LAUNCH')
  })

  test('descriptors arrive, from 3 to more than one digit, and none is invented', async () => {
    const leaked = passedOnByUs()
    const before = 'exec 3</dev/null 9>/dev/null 12<>/dev/null 40< <(:)'
    const {descriptors} = await probe.says(launcher(), {before})
    expect(descriptors).toEqual([...new Set([3, 9, 12, 40, ...leaked])].toSorted((a, b) => a - b))
    expect((await probe.says(launcher(), {before: 'exec 2>/dev/null'})).descriptors).toEqual(leaked)
  })

  test.each(['HUP', 'INT', 'QUIT', 'TERM', 'PIPE', 'USR1', 'TSTP', 'ALRM', 'SYS'])(
    'SIG%s arrives as ignored if it was',
    async (name) => {
      const number = constants.signals[`SIG${name}` as NodeJS.Signals]
      const {ignoredSignals} = await probe.says(launcher(), {before: `trap '' ${name}`})
      expect(ignoredSignals).toEqual([number])
    },
  )

  test('no signal arrives as ignored if none was', async () => {
    expect((await probe.says(launcher())).ignoredSignals).toEqual([])
  })

  test('the soft limit of open files arrives if Node has raised it', async () => {
    expect((await probe.says(launcher(), {before: 'ulimit -Sn 300'})).openFiles).toBe('300')
    expect((await probe.says(launcher(), {before: 'ulimit -Sn $(ulimit -Hn)'})).openFiles).toBeUndefined()
  })

  test('nothing but leash is left when it has taken its inheritance', async () => {
    const child = probe.start([...launcher(), 'hold'])
    await once(child.stdout, 'data')
    await until('the witness to end', () => probe.processes().length === 1, {withinMs: 5000})
    expect(probe.processes().map(({pid}) => pid)).toEqual([child.pid])
    child.stdin.end()
    await once(child, 'close')
  })

  test('nothing is left when it is killed at any moment of its start', async () => {
    for (let delayMs = 0; delayMs < 25; delayMs++) {
      const child = probe.start([...launcher(), 'hold'])
      await pause(delayMs / 2)
      child.kill('SIGKILL')
      await once(child, 'close')
      await until('all to be gone', () => probe.processes().length === 0, {withinMs: 5000})
    }
  })

  test('a channel to the parent is left to the job', async () => {
    const env = {NODE_CHANNEL_FD: '3', NODE_CHANNEL_SERIALIZATION_MODE: 'json'}
    const said = await probe.says(launcher(), {env, before: 'exec 3< <(:)'})
    expect(said.hasChannel).toBe(false)
    expect(said.env).toMatchObject(env)
    expect(said.descriptors).toContain(3)
  })

  test('it starts when the digits are all taken, and leaves Node what it can', async () => {
    const digits = [4, 5, 6, 7, 8, 9].map((digit) => `${digit}</dev/null`)
    const env = {NODE_CHANNEL_FD: '3', NODE_CHANNEL_SERIALIZATION_MODE: 'json'}
    const said = await probe.says(launcher(), {env, before: `exec 3< <(:) ${digits.join(' ')}; trap '' HUP`})
    expect(said).toMatchObject({ignoredSignals: [1], descriptors: [], rawEnv: {}, env})
  })

  test('it starts with stdin, stdout and stderr closed', async () => {
    const {status} = await probe.ends([...launcher(), 'exit', '7'], {before: 'exec <&- >&- 2>&-'})
    expect(status).toBe(7)
  })

  test.skipIf(!canHideProc)('it starts without /proc', async () => {
    const before = 'set -- unshare --mount sh -c "mount -t tmpfs none /proc && exec \\"\\$@\\"" sh "$@"'
    const latin = String.raw`export LATIN=$'caf\xe9'`
    const said = await probe.says([...launcher(), 'a b'], {before: `${latin}; ${before}`})
    expect(said).toMatchObject({args: ['a b'], ignoredSignals: [], descriptors: [], rawEnv: {}})
    expect(said.env['LATIN']).toBe('caf\ufffd')
  })

  test('it says so in one line if there is no node', async () => {
    const {status, stdout, stderr} = await probe.ends(launcher(), {env: {PATH: '/nowhere'}})
    expect({status, stdout}).toEqual({status: 127, stdout: ''})
    expect(stderr).toMatch(/^leash: node was not found; .+\n$/)
  })
})

test.skipIf(!shells.includes('bash'))(
  'options that bash takes from the environment do not stop it',
  async () => {
    const env = {SHELLOPTS: 'errexit:nounset:noglob:noclobber', BASHOPTS: 'nullglob:failglob'}
    const {descriptors, env: given} = await probe.says(probe.through('bash'), {
      before: 'exec 3</dev/null',
      env,
    })
    expect(descriptors).toContain(3)
    expect(given['SHELLOPTS']).toContain('errexit')
  },
)

test.skipIf(!shells.includes('bash'))(
  'a here-document that is a file is no witness, and does no harm',
  async () => {
    const said = await probe.says(probe.through('bash'), {
      before: "exec 3</dev/null; trap '' HUP",
      env: {BASH_COMPAT: '5.0'},
    })
    expect(said).toMatchObject({ignoredSignals: [1], descriptors: []})
  },
)

test.skipIf(!shells.includes('bash'))('it starts when nobody may open a descriptor above 7', async () => {
  const said = await probe.says(probe.through('bash'), {before: "trap '' HUP; ulimit -Sn 8"})
  expect(said).toMatchObject({ignoredSignals: [1], descriptors: []})
})

test('it starts through a link with another name, by a search of PATH', async () => {
  const directory = path.join(probe.root, 'on path')
  mkdirSync(directory)
  symlinkSync('../bin/leash.cjs', path.join(directory, 'leash'))
  const before = `PATH='${directory}':$PATH; exec 3</dev/null`
  const {args, descriptors} = await probe.says(['leash', 'run', 'a b'], {before})
  expect(args).toEqual(['a b'])
  expect(descriptors).toContain(3)
})

test('it is found in its own directory, too', async () => {
  expect(
    (await probe.says(['./leash.cjs', 'run', 'x'], {before: `cd '${path.dirname(probe.launcher)}'`})).args,
  ).toEqual(['x'])
})

test('Node may run it without a shell, and then knows what Node knows', async () => {
  const before = String.raw`exec 3</dev/null; trap '' HUP; export LATIN=$'caf\xe9'`
  const said = await probe.says([process.execPath, probe.launcher, 'a b'], {before, env: {'a.b': '1'}})
  expect(said).toMatchObject({args: ['a b'], ignoredSignals: [], descriptors: []})
  expect(said).toMatchObject({env: {'a.b': '1'}, rawEnv: {LATIN: 'caf\xe9'}})
})
