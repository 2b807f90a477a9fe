import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {onPath} from '../../bench/measure.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {scratchDirectory} from '../support/scratch.ts'
import {pause, until} from '../support/wait.ts'
import {Leash, leashProgram} from './support/leash.ts'

/*
 * What a process gets from its parent beside arguments and stdio, and Node takes or changes before our first line runs. The
 * installed program is started by a shell, as users do it.
 */

const directory = scratchDirectory('inherited')
let etcd: EtcdServer
let env: Record<string, string>
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
  env = {
    PATH: `${path.dirname(process.execPath)}:${process.env['PATH']}`,
    LEASH_ENDPOINTS: etcd.url,
    DIRECTORY: directory,
  }
})
afterAll(async () => {
  rmSync(directory, {recursive: true})
  await etcd?.[Symbol.asyncDispose]()
})

/** Runs the job without leash in front of it: it begins behind the name of the lock. */
const alone = 'while [ "$1" != x ]; do shift; done; shift; exec "$@"'

/**
 * A job under leash, which is started by bash after some preparation.
 *
 * @param start how, with the whole command line in `$@`: bash becomes leash, if nothing else is said
 */
const run = (
  job: readonly string[],
  preparation: string,
  {start = 'exec "$@"', more = {}, lock = 'x'} = {},
): Leash => {
  // The first argument is Node, which the installed program finds by itself.
  const through = ['bash', '--norc', '-c', `shift; ${preparation}\n${start}`, 'bash']
  return new Leash(['run', '-l', lock, ...job], {env: {...env, ...more}, input: '', through})
}

/** What the job prints. */
const printed = async (preparation: string, job: readonly string[], start?: string): Promise<string> => {
  await using leash = run(job, preparation, {...(start !== undefined && {start})})
  const {status, stdout, stderr} = await leash.end()
  expect({status, stderr}).toEqual({status: 0, stderr: ''})
  return stdout
}

describe('descriptors', () => {
  test.each([3, 9, 12, 40])('the job has number %i', async (descriptor) => {
    const job = ['bash', '-c', `cat <&${descriptor}`]
    expect(await printed(`exec ${descriptor}< <(echo hi)`, job)).toBe('hi\n')
  })

  test('the job has those that leash has, and no other', async () => {
    const list = ['perl', '-e', 'print join " ", grep {-l "/proc/self/fd/$_"} 3..255']
    const preparation = 'exec 3</dev/null 7>/dev/null 30<>/dev/null'
    expect(await printed(preparation, list)).toBe(await printed(preparation, list, alone))
  })

  test('flock around leash goes on while the job runs, and knows it as its own', async () => {
    const job = 'flock -n 9 && echo ours; flock -n "$DIRECTORY/lock" true || echo kept'
    const preparation = 'exec 9>"$DIRECTORY/lock"; flock -n 9 || exit 1'
    expect(await printed(preparation, ['sh', '-c', job])).toBe('ours\nkept\n')
  })

  test.skipIf(!onPath('make'))('make below leash shares the jobs of make above it', async () => {
    // Each of the two waits for the other, so they must run at the same time.
    const inner = 'all: a b\na:\n\t@echo met >meeting\nb:\n\t@cat meeting\n'
    writeFileSync(path.join(directory, 'inner.mk'), inner)
    writeFileSync(path.join(directory, 'outer.mk'), 'all:\n\t+@$(LEASH) $(MAKE) -f inner.mk\n')
    const start = `cd "$DIRECTORY"; mkfifo meeting; timeout 20 make -s -j2 -f outer.mk LEASH="$*"`
    expect(await printed('', ['timeout', '10'], start)).toBe('met\n')
  })

  test('sockets from a service manager reach the job', async () => {
    const preparation = 'exec 3< <(echo hi); export LISTEN_FDS=1 LISTEN_PID=$$'
    expect(await printed(preparation, ['sh', '-c', 'echo $LISTEN_FDS; cat <&3'])).toBe('1\nhi\n')
  })

  test('sockets from a service manager are addressed to the job', async () => {
    const preparation = 'exec 3< <(echo hi); export LISTEN_FDS=1 LISTEN_PID=$$'
    expect(await printed(preparation, ['sh', '-c', '[ "$LISTEN_PID" = $$ ] && echo mine'])).toBe('mine\n')
  })

  test('a Node program talks through leash with a job that is another one', async () => {
    const job = 'process.once("message", (text) => process.send(`${text}, too`, () => process.disconnect()))'
    const child = spawn(leashProgram, ['run', '-l', 'channel', process.execPath, '-e', job], {
      env: {...process.env, ...env},
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    child.send('hello')
    const [answer] = (await once(child, 'message')) as [string]
    expect(answer).toBe('hello, too')
    child.disconnect()
    await once(child, 'exit')
  })
})

describe('ignored signals', () => {
  const kill = (...names: string[]): string[] => [
    'sh',
    '-c',
    `${names.map((name) => `kill -${name} $$;`).join(' ')} echo lives`,
  ]

  test('nohup goes through to the job', async () => {
    expect(await printed('', kill('HUP'), 'exec nohup "$@" 2>/dev/null')).toBe('lives\n')
  })

  test('in the background of a script, the job ignores INT and QUIT', async () => {
    expect(await printed('', kill('INT', 'QUIT'), '"$@" & wait $!')).toBe('lives\n')
  })

  test('the job ignores what a script ignores, and nothing else', async () => {
    const ignored = ['sh', '-c', 'grep SigIgn /proc/self/status']
    // HUP, PIPE, ALRM and TERM.
    expect(await printed("trap '' HUP PIPE ALRM TERM", ignored)).toBe('SigIgn:\t0000000000007001\n')
    expect(await printed('', ignored)).toBe('SigIgn:\t0000000000000000\n')
  })

  test('leash does not forward them either', async () => {
    const job = `$| = 1; $SIG{$_} = sub {print "$_[0]\n"} for "HUP", "USR1"; kill "HUP", getppid; kill "USR1", getppid; sleep 1000`
    await using leash = run(['perl', '-e', job], "trap '' HUP")
    await leash.says(/USR1/)
    leash.kill('SIGTERM')
    expect((await leash.end()).stdout).toBe('USR1\n')
  })
})

describe('the environment', () => {
  /** Variables by name, each character a byte. Without what leash adds to tell the job of its lock, and without bash's own. */
  const variables = (environ: Buffer): Record<string, string> =>
    Object.fromEntries(
      environ
        .toString('latin1')
        .split('\0')
        .filter(
          (entry) => entry !== '' && !/^(LEASH_(LOCK|FENCE|LEASE|KEY|RUN_\w+)|LEASH_TEST_RUN|_)=/.test(entry),
        )
        .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
    )
  const given = async (
    preparation: string,
    more: Record<string, string>,
    start?: string,
  ): Promise<unknown> => {
    const options = {more, ...(start !== undefined && {start})}
    await using leash = run(['/bin/cat', '/proc/self/environ'], preparation, options)
    await leash.end()
    return variables(leash.stdoutBytes)
  }
  const names = {'spring.profiles.active': 'a', 'with-dash': 'b', 1: 'c'}

  describe.each([
    ['', {}],
    [' and names that are no identifiers', names],
  ])('', (andMore, more) => {
    test.each([
      ['functions of bash', 'f() { echo "it\'s f"; }; export -f f'],
      [
        'bytes that are not UTF-8',
        String.raw`export LATIN=$'caf\xe9' LINES=$'\xe9\n\xe9\n' QUOTE=$'\xe9\'"\\'`,
      ],
      [
        'values of many kinds',
        String.raw`export EMPTY= BLANK=' a  b ' LINES=$'a\nb=c\n' QUOTES=\'\"\\ UNICODE='größe 🙂'`,
      ],
      ['no working directory', 'unset PWD OLDPWD'],
      ['another working directory', 'export PWD=/elsewhere OLDPWD=/nowhere'],
      ['what shells change or use', 'export SHLVL=5 IFS=: ENV=/nowhere CDPATH=/ MAILCHECK=1'],
      ["the launcher's own words", 'export leash_fd=1 leash_stat=2 leash_witness=3'],
    ])(`the job has %s${andMore} as leash was given them`, async (_, preparation) => {
      expect(await given(preparation, more)).toEqual(await given(preparation, more, alone))
    })
  })

  test.each([
    ['PS1', names],
    ['PS4', names],
  ])('the job has %s, which the shell that it was takes for its own', async (name, more) => {
    const preparation = `export ${name}=7`
    expect(await given(preparation, more)).toEqual(await given(preparation, more, alone))
  })
})

test('the job has the limit of open files that leash was given', async () => {
  expect(await printed('ulimit -Sn 300', ['sh', '-c', 'ulimit -Sn; ulimit -Hn'])).toMatch(/^300\n(?!300)/)
})

test('the witness of the start does not stay while the job runs', async () => {
  await using leash = run(['sh', '-c', 'echo runs; sleep 1000'], '')
  await leash.says(/runs/)
  const launchers = leash.processes().filter(({command}) => command.includes('leash.cjs'))
  expect(launchers.map(({pid}) => pid)).toEqual([leash.pid])
})

test('nothing is left of a leash that is killed at any moment of its start', async () => {
  for (let delayMs = 0; delayMs < 100; delayMs += 5) {
    await using leash = run(['sleep', '1000'], '', {lock: `early-${delayMs}`})
    await pause(delayMs)
    leash.kill('SIGKILL')
    await until('all to be gone', () => leash.processes().length === 0, {withinMs: 5000})
  }
})
