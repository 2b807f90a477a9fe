import {once} from 'node:events'
import {mkdirSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {onPath} from '../../bench/measure.ts'
import {call} from '../support/etcdGateway.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {PackageCopy, repository} from './PackageCopy.ts'
import {until} from '../support/wait.ts'
import {evaluated, type Evaluated} from './evaluated.ts'

/**
 * Code that `leash run -n -l x true` evaluates, in bytes of the bundle's functions and blocks that ran. Measured: 336 kB;
 * a hundredth more is allowed, so that a small feature fits and a careless import does not.
 */
const mostBytes = 340_000

/** Packages of which it evaluates modules. Another one needs a reason, in docs/adr/0003. */
const neededPackages = [
  '@grpc/grpc-js',
  '@js-sdsl/ordered-map',
  '@oclif/core',
  '@protobufjs/aspromise',
  '@protobufjs/base64',
  '@protobufjs/eventemitter',
  '@protobufjs/float',
  '@protobufjs/pool',
  '@protobufjs/utf8',
  'cockatiel',
  'etcd3',
  'long',
  'protobufjs',
]

const toBase64 = (text: string): string => Buffer.from(text).toString('base64')

let copy: PackageCopy
let etcd: EtcdServer
beforeAll(async () => {
  copy = await PackageCopy.make()
  etcd = await EtcdServer.start({version: '3.4'})
})
afterAll(async () => {
  copy?.[Symbol.dispose]()
  await etcd?.[Symbol.asyncDispose]()
})

describe('leash run -n -l x true', () => {
  let run: Evaluated
  beforeAll(async () => {
    const coverage = path.join(copy.root, 'coverage')
    mkdirSync(coverage)
    const {status, stderr} = await copy.run(
      [process.execPath, copy.launcher, 'run', '-n', '-l', 'x', 'true'],
      {
        LEASH_ENDPOINTS: etcd.url,
        NODE_V8_COVERAGE: coverage,
      },
    )
    expect({status, stderr}).toEqual({status: 0, stderr: ''})
    run = evaluated(coverage, copy.bundle)
  })

  test('loads the launcher and the bundle, and no other module', () => {
    expect(run.files.map((file) => path.relative(copy.root, file))).toEqual([
      'bin/leash.cjs',
      'dist/leash.cjs',
    ])
  })

  test('evaluates modules of these packages and of no others', () => {
    expect(run.packages).toEqual(neededPackages)
  })

  test('evaluates no more code than the budget allows', () => {
    expect(run.bytes).toBeLessThan(mostBytes)
  })

  test.skipIf(!onPath('strace'))(
    'reads of its package only the launcher, the bundle and the code cache; and the guard its script',
    async () => {
      const directory = path.join(copy.root, 'trace')
      // A file for each process: in one, calls that overlap would be torn apart.
      const strace = ['strace', '-ff', '-qq', '-e', 'trace=open,openat', '-o', path.join(directory, 'of')]
      const command = [process.execPath, copy.launcher, 'run', '-n', '-l', 'x', 'true']
      for (let learned = 0; learned < 2; learned++) {
        rmSync(directory, {recursive: true, force: true})
        mkdirSync(directory)
        expect(await copy.run([...strace, ...command], {LEASH_ENDPOINTS: etcd.url})).toMatchObject({
          status: 0,
        })
      }
      const trace = readdirSync(directory).map((file) => readFileSync(path.join(directory, file), 'utf8'))
      const opened = trace.join('').matchAll(/open(?:at)?\(.*?"([^"]+)", (O_RDONLY[^)]*)\) = \d/g)
      // A run that has something to add to the cache also looks through its directory for what is old.
      const beside = [process.execPath, path.join(copy.root, '.cache/code')]
      const ours = [...opened]
        .map(([, file = '']) => path.resolve(file))
        .filter((file) => file.startsWith(repository) && !beside.includes(file))
      const cache = copy.caches.map((file) => path.relative(copy.root, file))
      expect(cache).toHaveLength(1)
      const expected = ['bin/leash.cjs', 'bin/guard.sh', 'dist/leash.cjs', ...cache]
      expect([...new Set(ours.map((file) => path.relative(copy.root, file)))].toSorted()).toEqual(
        expected.toSorted(),
      )
    },
  )
})

describe('the command line', () => {
  test('leaves what follows the operands to the job, also --help and --version', async () => {
    const environment = {LEASH_ENDPOINTS: etcd.url}
    const job = ['/bin/echo', 'a', '--help', '-h', '--version', 'a']
    expect(await copy.run([process.execPath, copy.launcher, 'run', '-l', 'y', ...job], environment)).toEqual({
      status: 0,
      stdout: 'a --help -h --version a\n',
      stderr: '',
    })
  })

  test.each([[['--help']], [['-h']], [[]]])('lists the commands for %j', async (args) => {
    const {status, stdout, stderr} = await copy.leash(...args)
    expect({status, stderr}).toEqual({status: 0, stderr: ''})
    expect(stdout).toMatch(/^ +run +\w/m)
  })

  test.each([[['run', '--help']], [['run', '-l', 'x', '-h']]])(
    'explains the command for %j',
    async (args) => {
      const {status, stdout, stderr} = await copy.leash(...args)
      expect({status, stderr}).toEqual({status: 0, stderr: ''})
      expect(stdout).toContain('--with-lock')
    },
  )

  test('says its version', async () => {
    const {version} = JSON.parse(readFileSync(path.join(copy.root, 'package.json'), 'utf8')) as {
      version: string
    }
    const {status, stdout} = await copy.leash('--version')
    expect({status, stdout}).toEqual({
      status: 0,
      stdout: expect.stringContaining(`leash-cli/${version} `) as string,
    })
  })

  test.each([
    ['rum', 'leash: "rum" is not a command of leash; "leash --help" lists them\n'],
    ['--rum', 'leash: "--rum" is not an option of leash; "leash --help" lists them\n'],
    ['\u001b[2J', 'is not a command of leash'],
  ])('refuses %j in one line', async (first, message) => {
    const {status, stdout, stderr} = await copy.leash(first)
    expect({status, stdout}).toEqual({status: 64, stdout: ''})
    expect(stderr).toContain(message)
    expect(stderr).not.toContain('\u001b')
  })
})

test('a pipe on stdout stays blocking for all who share it while leash waits', async () => {
  const nonBlocking = 0o4000
  const leash = ['run', '-l', 'shared', '--', 'cat']
  const tickets = {
    key: toBase64('leash/lock/shared/'),
    range_end: toBase64('leash/lock/shared0'),
    count_only: true,
  }
  const queue = (length: number): Promise<unknown> =>
    until(
      `${length} tickets`,
      async () =>
        (await call<{count?: string}>(etcd.url, '/v3/kv/range', tickets, 1000)).count === `${length}`,
      {
        withinMs: 10_000,
        everyMs: 20,
      },
    )
  const holder = copy.start(leash, {LEASH_ENDPOINTS: etcd.url})
  await queue(1)
  const waiter = copy.start(leash, {LEASH_ENDPOINTS: etcd.url})
  await queue(2)
  const flags = /flags:\s*(\d+)/.exec(readFileSync(`/proc/${waiter.pid}/fdinfo/1`, 'utf8'))?.[1] ?? ''
  expect(parseInt(flags, 8) & nonBlocking).toBe(0)
  for (const {stdin} of [holder, waiter]) stdin.end()
  await Promise.all([once(holder, 'exit'), once(waiter, 'exit')])
})

test('stack traces name the sources when Node maps them', async () => {
  const script = `
    const module = {exports: {}}
    require(${JSON.stringify(copy.bundle)})(module.exports, require, module, __filename, ${JSON.stringify(path.dirname(copy.bundle))})
    process.on = () => { throw new Error('seen') }
    try { module.exports.learnCode() } catch (error) { console.log(error.stack) }`
  const {stdout} = await copy.run([process.execPath, '--enable-source-maps', '-e', script])
  const line = readFileSync(path.join(repository, 'src/codeCache.ts'), 'utf8')
    .split('\n')
    .findIndex((text) => text.includes("process.on('exit'"))
  expect(stdout).toContain(`src/codeCache.ts:${line + 1}:`)
})

test('every command has its entry in the manifest that help reads', () => {
  const manifest = JSON.parse(readFileSync(path.join(copy.root, 'oclif.manifest.json'), 'utf8')) as {
    commands: object
  }
  const sources = readdirSync(path.join(repository, 'src/commands')).filter(
    (name) => !/^(index|loaders)\.ts$/.test(name),
  )
  expect(Object.keys(manifest.commands).map((id) => `${id}.ts`)).toEqual(sources)
})
