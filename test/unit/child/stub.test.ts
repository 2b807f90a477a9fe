import {spawnSync} from 'node:child_process'
import {once} from 'node:events'
import {copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterEach, beforeEach, describe, expect, test} from 'vitest'
import type {Inheritance} from '../../../src/lib/child/inheritance.ts'
import {Stub} from '../../../src/lib/child/stub.ts'
import {isAlive} from '../../support/processes.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {until} from '../../support/wait.ts'
import {inheritance} from './inheritance.fixture.ts'

let directory: string
const stubs: Stub[] = []
beforeEach(() => {
  directory = scratchDirectory('stub')
})
afterEach(() => {
  for (const stub of stubs.splice(0)) stub.dismiss()
  rmSync(directory, {recursive: true})
})

const soon = {withinMs: 5000}
const sleep = ['/bin/sleep', '1000'] as const
const basicEnv = {PATH: process.env['PATH'] ?? ''}

interface Wish extends Partial<Inheritance> {
  argv?: readonly [string, ...string[]]
  foreground?: boolean
}

const start = async ({argv = sleep, foreground = false, ...inherited}: Wish): Promise<Stub> => {
  const stub = await Stub.start({
    argv: [...argv],
    inheritance: {...inheritance(basicEnv), ...inherited},
    marker: 'LEASH_RUN_0',
    foreground,
  })
  stubs.push(stub)
  return stub
}

/** What the kernel says of a process. */
const seen = (pid: number, file: string): string => readFileSync(`/proc/${pid}/${file}`, 'latin1')
const words = (pid: number, file: 'cmdline' | 'environ'): string[] => seen(pid, file).split('\0').slice(0, -1)

/** Lets a stub become its command, and waits until it is. */
const become = async (wish: Wish, variables: Readonly<Record<string, string>> = {}): Promise<number> => {
  const stub = await start(wish)
  const [command = ''] = wish.argv ?? sleep
  expect(words(stub.pid, 'cmdline')[0]).not.toBe(command)
  stub.go(variables)
  await until('it to become the command', () => words(stub.pid, 'cmdline')[0] === command, soon)
  return stub.pid
}

const environmentOf = (pid: number): Record<string, string> =>
  Object.fromEntries(
    words(pid, 'environ')
      .filter((entry) => !entry.startsWith('LEASH_RUN_0='))
      .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  )

describe('gives back what Node has taken:', () => {
  const ignored = (pid: number): bigint => BigInt(`0x${/^SigIgn:\t(.*)$/m.exec(seen(pid, 'status'))?.[1]}`)

  test('ignored signals, and no others', async () => {
    const pid = await become({ignoredSignals: [1, 3, 10, 13, 31]})
    expect(ignored(pid)).toBe(
      [1, 3, 10, 13, 31].reduce((sum, signal) => sum | (1n << BigInt(signal - 1)), 0n),
    )
    expect(ignored(await become({}))).toBe(0n)
  })

  test('real-time signals, which no shell can ignore, do not keep it from becoming the command', async () => {
    expect(ignored(await become({ignoredSignals: [2, 34, 64]}))).toBe(2n)
  })

  test('the limit of open files', async () => {
    const pid = await become({openFiles: '256'})
    expect(seen(pid, 'limits')).toMatch(/^Max open files +256 /m)
  })

  test.each([
    ['sh', {}],
    ['bash', {'not.a-name': '1'}],
  ])('variables with any bytes, through %s', async (_, more) => {
    const value = Buffer.from(Array.from({length: 255}, (__, byte) => byte + 1))
    const pid = await become({env: {...basicEnv, ...more}, rawEnv: new Map([['RAW', value]])})
    expect(environmentOf(pid)['RAW']).toBe(value.toString('latin1'))
  })
})

describe('the environment', () => {
  test('is what leash was given, with the variables added, which win', async () => {
    const env = {
      ...basicEnv,
      EMPTY: '',
      LINES: 'a\nb=c\n',
      QUOTES: `'"\\$HOME\`id\``,
      LEASH_LOCK: 'outer',
      LEASH_LOCKS: '[]',
    }
    const pid = await become({env}, {LEASH_LOCK: "it's ours"})
    const {LEASH_LOCKS: _, ...others} = env
    expect(environmentOf(pid)).toEqual({...others, LEASH_LOCK: "it's ours"})
  })

  test('carries the marker', async () => {
    expect(words(await become({}), 'environ')).toContain('LEASH_RUN_0=1')
  })

  test.each<[string, Record<string, string>]>([
    ['absent', {}],
    ['wrong', {PWD: '/nowhere', OLDPWD: '/neither', IFS: ':'}],
    ['right', {PWD: process.cwd(), OLDPWD: '/', SHLVL: '3'}],
  ])('has PWD and other variables that shells set as they were: %s', async (_, given) => {
    const env = {...basicEnv, ...given}
    expect(environmentOf(await become({env}))).toEqual(env)
    const strange = {...env, 'not.a-name': '1'}
    expect(environmentOf(await become({env: strange}))).toEqual(strange)
  })

  test('keeps variables whose names are no identifiers', async () => {
    const env = {
      ...basicEnv,
      'spring.profiles.active': 'x',
      'BASH_FUNC_f%%': '() {  echo hi\n}',
      '1': '2',
    }
    expect(environmentOf(await become({env}))).toEqual(env)
  })
})

describe('becomes the command', () => {
  test.each(['-x', '-a', 'FOO=bar', 'a b', "it's", 'cd', 'exec', 'then', '{', '!', '*', 'a\nb'])(
    'that is called %j, with its arguments as they are',
    async (name) => {
      copyFileSync('/bin/sleep', path.join(directory, name))
      const env = {PATH: `${directory}:${basicEnv.PATH}`}
      for (const more of [{}, {'not.a-name': '1'}]) {
        const pid = await become({argv: [name, '1000'], env: {...env, ...more}})
        expect(words(pid, 'cmdline')).toEqual([name, '1000'])
      }
    },
  )

  test.each<[string, string[]]>([
    ['none', []],
    ['empty ones', ['', 'a', '', '']],
    ['newlines and controls', ['\n', 'a\nb\n', '\t\r\u0001\u007f']],
    ['what a shell would expand', ['*', '~', '$HOME', '`id`', '&', ';', '#', `'`, '\\']],
    ['options', ['-s', '--', '-c', 'exit 9']],
    ['text beyond ASCII', ['größe', '日本', '🙂']],
  ])('with arguments as they are: %s', async (_, args) => {
    const argv = ['perl', '-e', 'sleep', '--', ...args] as const
    const pid = await become({argv: [...argv]})
    expect(words(pid, 'cmdline')).toEqual(argv.map((word) => Buffer.from(word).toString('latin1')))
  })

  test('in a session of its own, or in that of leash', async () => {
    const [own, shared] = [await become({}), await become({foreground: true})]
    const sessionOf = (pid: number): string | undefined => /\) \S \d+ \d+ (\d+)/.exec(seen(pid, 'stat'))?.[1]
    expect(sessionOf(own)).toBe(String(own))
    expect(sessionOf(shared)).toBe(sessionOf(process.pid))
  })

  test('under its own process id, though there is a script of its name without a first line', async () => {
    writeFileSync(path.join(directory, 'script'), 'exec sleep 1000', {mode: 0o755})
    const stub = await start({argv: [path.join(directory, 'script')]})
    stub.go({})
    await until('it to run', () => words(stub.pid, 'cmdline')[0] === 'sleep', soon)
  })
})

describe('a command that cannot be executed', () => {
  const statusOf = async (argv: [string, ...string[]]): Promise<number | null> => {
    const stub = await start({argv})
    const ended = once(stub.process, 'exit')
    stub.go({})
    return ((await ended) as [number | null])[0]
  }

  test('is 127, as a shell says, if it is gone', async () => {
    expect(await statusOf(['/no/such/command'])).toBe(127)
  })

  test('is 127 if its interpreter is missing', async () => {
    const script = path.join(directory, 'script')
    writeFileSync(script, '#!/nowhere/interpreter\n', {mode: 0o755})
    expect(await statusOf([script])).toBe(127)
  })

  test('is 126 if it may not be executed', async () => {
    mkdirSync(path.join(directory, 'folder'))
    expect(await statusOf([path.join(directory, 'folder')])).toBe(126)
  })
})

describe('a stub', () => {
  test('ends without having run anything when its input ends: leash has died', async () => {
    const file = path.join(directory, 'file')
    const stub = await start({argv: ['touch', file]})
    const ended = once(stub.process, 'exit')
    stub.process.stdin?.end()
    expect(await ended).toEqual([0, null])
    expect(readdirSync(directory)).toEqual([])
  })

  test('that is dismissed has run nothing', async () => {
    const stub = await start({argv: ['touch', path.join(directory, 'file')]})
    const ended = once(stub.process, 'exit')
    stub.dismiss()
    expect(await ended).toEqual([null, 'SIGKILL'])
    expect(readdirSync(directory)).toEqual([])
  })

  test('that was killed can be let go, and nothing happens', async () => {
    const stub = await start({})
    const ended = once(stub.process, 'exit')
    stub.process.kill('SIGKILL')
    // Without a turn of the event loop, Node has not noticed.
    while (isAlive(stub.pid));
    stub.go({})
    await ended
  })

  test.each<[string, Wish]>([
    ['words that are too long for the kernel', {env: {...basicEnv, LONG: 'x'.repeat(200_000)}}],
    ['no descriptor free for stdin', {descriptors: [3, 4, 5, 6, 7, 8, 9]}],
  ])('cannot be started with %s: a fault of its own, and no bug', async (_, wish) => {
    await expect(start(wish)).rejects.toMatchObject({code: 'notExecutable'})
  })
})

describe('descriptors', () => {
  /** Runs the driver with descriptors as a shell opens them. */
  const drive = (redirections: string, descriptors: number[], script: string): string => {
    const driver = [process.execPath, '--import', 'tsx', path.join(import.meta.dirname, 'stubDriver.ts')]
    const command = [...driver, JSON.stringify(descriptors), 'sh', '-c', script]
    const {stdout, stderr} = spawnSync(
      'bash',
      ['-c', `cd "$0"; cd - >/dev/null; exec "$@" ${redirections}`, directory, ...command],
      {
        input: 'from stdin\n',
        encoding: 'utf8',
      },
    )
    expect(stderr).toBe('')
    return stdout
  }

  test('reach the command under their own numbers, and no other does', () => {
    const list =
      'for fd in 0 1 2 3 4 5 6 7 8 9 10 11 12 13; do [ -e /proc/$$/fd/$fd ] && echo $fd; done; cat <&9; cat /proc/self/fd/12; cat'
    for (const [number, text] of [
      [9, 'nine'],
      [12, 'twelve'],
    ] as const)
      writeFileSync(path.join(directory, String(number)), `${text}\n`)
    const files = `9<'${directory}/9' 12<'${directory}/12'`
    expect(drive(files, [9, 12], list)).toBe('0\n1\n2\n9\n12\nnine\ntwelve\nfrom stdin\n')
  })

  test('may take all of the low numbers but one', () => {
    const all = [3, 4, 5, 6, 7, 8].map((number) => `${number}</dev/null`).join(' ')
    expect(drive(all, [3, 4, 5, 6, 7, 8], 'cat')).toBe('from stdin\n')
  })
})
