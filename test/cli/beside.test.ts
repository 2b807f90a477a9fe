import {spawn} from 'node:child_process'
import {afterAll, describe, expect, test} from 'vitest'
import {mostLocks, mostSettled} from '../../src/lib/core/lockName.ts'
import {deleteKey, keysUnder, put} from '../support/etcdGateway.ts'
import {until} from '../support/wait.ts'
import {Leash, leash} from './support/leash.ts'
import {nothingLeft} from './support/nothingLeft.ts'
import {useEtcd} from './support/useEtcd.ts'

const etcd = useEtcd()
const soon = {withinMs: 10_000}

/** Who is kept, and ended if its lock is lost. */
const kept = spawn('sleep', ['1000'])
afterAll(() => kept.kill())

const untilTold = ['--', 'sh', '-c', 'echo runs; read line; :'] as const
const queue = (name: string): ReturnType<typeof keysUnder> => keysUnder(etcd.url, `leash/lock/${name}/`)

const start = (...flags: string[]): Leash =>
  new Leash(['run', '-l', 'index', ...flags, ...untilTold], {env: {LEASH_ENDPOINTS: etcd.url}})

const run = (...args: string[]): ReturnType<typeof leash> => leash(args, {env: {LEASH_ENDPOINTS: etcd.url}})

/** One that stands in the queue as the last of so many, and has not got in. */
async function waiting(place: number, ...flags: string[]): Promise<Leash> {
  const waiter = start(...flags)
  await until('it to stand in the queue', async () => (await queue('index')).length === place, soon)
  expect(waiter.stdout).toBe('')
  return waiter
}

async function holding(...flags: string[]): Promise<Leash> {
  const holder = start(...flags)
  await holder.says(/runs/)
  return holder
}

async function end(...holders: Leash[]): Promise<void> {
  for (const holder of holders) holder.endInput()
  for (const holder of holders) expect(await holder.end()).toMatchObject({status: 0, stderr: ''})
}

describe('run --shared', () => {
  test('runs beside others that are shared, and not beside a writer; nothing is left', async () => {
    await using one = await holding('--shared')
    await using other = await holding('--shared')
    await using writer = await waiting(3)
    await using late = await waiting(4, '--shared')
    await end(one)
    expect(writer.stdout).toBe('')
    await end(other)
    await writer.says(/runs/)
    expect(late.stdout).toBe('')
    await end(writer)
    await late.says(/runs/)
    await end(late)
    await nothingLeft(etcd)
  })

  test('-n gets in beside readers; behind a writer that waits it ends with 75 in silence, and leaves no ticket', async () => {
    await using one = await holding('--shared')
    expect(await run('run', '-n', '--shared', '-l', 'index', 'true')).toMatchObject({status: 0, stderr: ''})
    await using writer = await waiting(2)
    expect(await run('run', '-n', '--shared', '-l', 'index', 'true')).toMatchObject({status: 75, stderr: ''})
    expect(await queue('index')).toHaveLength(2)
    await end(one)
    await writer.says(/runs/)
    await end(writer)
    await nothingLeft(etcd)
  })

  test('does not run beside a ticket of another program', async () => {
    await put(etcd.url, 'leash/lock/index/694d', '')
    expect((await run('run', '-n', '--shared', '-l', 'index', 'true')).status).toBe(75)
    await deleteKey(etcd.url, 'leash/lock/index/694d')
  })

  test('is killed when its ticket is deleted: 79, and its mark is gone when all have ended', async () => {
    await using one = await holding('--shared')
    await using other = await holding('--shared')
    const [first] = await queue('index')
    await deleteKey(etcd.url, first?.key ?? '')
    expect((await one.end()).status).toBe(79)
    await end(other)
    await nothingLeft(etcd)
  })

  test('holds all of several, or waits for them', async () => {
    await using both = new Leash(['run', '--shared', '-l', 'index', '-l', 'more', ...untilTold], {
      env: {LEASH_ENDPOINTS: etcd.url},
    })
    await both.says(/runs/)
    expect((await run('run', '--shared', '-l', 'more', '-l', 'index', 'true')).status).toBe(0)
    expect((await run('run', '-n', '-l', 'more', 'true')).status).toBe(75)
    await end(both)
    await nothingLeft(etcd)
  })
})

test('many who vanished at once do not keep a clean end from being one: what is too much for it goes with the next ones', async () => {
  const lease = (index: number): string => (index + 1).toString(16)
  const vanished = Array.from({length: 150}, (_, index) => `leash/held/beside/index/shared/${lease(index)}`)
  await Promise.all(vanished.map((mark) => put(etcd.url, mark, '')))
  for (const left of [50, 0]) {
    expect(await run('run', '-n', '-l', 'index', 'true')).toMatchObject({status: 0, stderr: ''})
    expect(await keysUnder(etcd.url, 'leash/held/beside/')).toHaveLength(left)
  }
  await nothingLeft(etcd)
})

test('as many as can be settled go with as many locks as can be held', async () => {
  const names = Array.from({length: mostLocks}, (_, index) => `several-${index}`)
  const marks = Array.from(
    {length: mostSettled},
    (_, index) => `leash/held/beside/several-0/shared/${index + 1}`,
  )
  await Promise.all(marks.map((mark) => put(etcd.url, mark, '')))
  const several = names.flatMap((name) => ['-l', name])
  expect(await run('run', '-n', ...several, 'true')).toMatchObject({status: 0, stderr: ''})
  await nothingLeft(etcd)
})

describe('run --slots', () => {
  test('runs as many as there are slots; the next one starts when any of them ends', async () => {
    await using one = await holding('--slots', '2')
    await using two = await holding('--slots', '2')
    await using three = await waiting(3, '--slots', '2')
    await end(two)
    await three.says(/runs/)
    await end(one, three)
    await nothingLeft(etcd)
  })

  test('does not run beside who is exclusive, nor beside readers', async () => {
    await using one = await holding('--slots', '9')
    expect((await run('run', '-n', '-l', 'index', 'true')).status).toBe(75)
    expect((await run('run', '-n', '--shared', '-l', 'index', 'true')).status).toBe(75)
    await end(one)
    await nothingLeft(etcd)
  })

  test('of another number is refused with both numbers: 64, and nothing is left of it', async () => {
    await using one = await holding('--slots', '3')
    const {status, stderr} = await run('run', '--slots', '5', '-l', 'index', 'true')
    expect(status).toBe(64)
    expect(stderr).toMatch(
      /^leash: index: index has 3 slots, as \S+@\S+ \(pid \d+\) since \S+ says, and here it is 5; give the same number everywhere\n$/,
    )
    expect(await queue('index')).toHaveLength(1)
    await end(one)
    await nothingLeft(etcd)
  })

  test.each([
    ['0', /--slots 0|slots/],
    ['many', /many/],
    ['2.5', /2\.5/],
  ])('%s is wrong usage: 64', async (count, message) => {
    const {status, stderr} = await run('run', '--slots', count, '-l', 'index', 'true')
    expect(status).toBe(64)
    expect(stderr).toMatch(message)
  })

  test('and --shared do not go together: 64', async () => {
    const {status, stderr} = await run('run', '--slots', '2', '--shared', '-l', 'index', 'true')
    expect(status).toBe(64)
    expect(stderr).toMatch(/^leash: .*--slots.*--shared|^leash: .*--shared.*--slots/)
  })
})

test('--explain says how it is held', async () => {
  expect((await run('run', '--slots', '3', '--explain', '-l', 'index', 'true')).stdout).toContain(
    'lock      index, one of 3 slots\n',
  )
  expect((await run('run', '--shared', '--explain', '-l', 'index', 'true')).stdout).toContain(
    'lock      index, shared\nqueue     leash/lock/index/\nmark      leash/held/beside/index/\n',
  )
})

describe('a handle', () => {
  test.each([
    ['without a keeper', ['--ttl', '60s']],
    ['with a keeper', ['--keep', String(kept.pid)]],
  ])('%s is held beside others, and leaves nothing', async (_, how) => {
    const [one, other] = await Promise.all(
      ['one', 'other'].map(() => run('acquire', 'index', '--shared', ...how)),
    )
    const paths = [one, other].map((acquired) => acquired?.stdout.trim() ?? '')
    for (const path of paths) expect((await run('check', '--handle', path)).status).toBe(0)
    expect((await run('run', '-n', '-l', 'index', 'true')).status).toBe(75)
    for (const path of paths) expect((await run('release', '--handle', path)).status).toBe(0)
    await nothingLeft(etcd)
    await etcd.empty()
  })

  test.each([
    ['without a keeper', ['--ttl', '60s']],
    ['with a keeper', ['--keep', String(kept.pid)]],
  ])('%s removes the marks of those who vanished when it is given back', async (_, how) => {
    await put(etcd.url, 'leash/held/beside/index/shared/694d', '694d')
    await put(etcd.url, 'leash/held/lock/index', '694e')
    const {stdout} = await run('acquire', 'index', '--shared', ...how)
    expect((await run('release', '--handle', stdout.trim())).status).toBe(0)
    await nothingLeft(etcd)
    await etcd.empty()
  })

  test('that is shared does not make its owner exclusive: 75, with its path', async () => {
    const {stdout} = await run('acquire', 'index', '--shared', '--ttl', '60s')
    const env = {LEASH_ENDPOINTS: etcd.url, LEASH_HANDLE: stdout.trim()}
    expect((await leash(['acquire', 'index', '--ttl', '60s'], {env})).status).toBe(75)
    const again = await leash(['acquire', 'index', '--shared', '--ttl', '60s'], {env})
    expect(again).toMatchObject({status: 0, stdout})
    await run('release', '--handle', stdout.trim())
    await etcd.empty()
  })
})
