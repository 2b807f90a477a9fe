import {hostname} from 'node:os'
import {stripVTControlCharacters} from 'node:util'
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {keysUnder} from '../support/etcdGateway.ts'
import {until} from '../support/wait.ts'
import {type Ended, Leash, leash, type LeashOptions} from './support/leash.ts'

// A colour is CSI ... m; the cursor's movements of a spinner are none.
// eslint-disable-next-line no-control-regex -- what terminals obey begins with one
const colour = /\u001b\[[\d;]*m/

let etcd: EtcdServer
let env: Record<string, string>
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
  env = {LEASH_ENDPOINTS: etcd.url, TERM: 'xterm'}
})
afterAll(() => etcd[Symbol.asyncDispose]())

/** Options that put a terminal of this width around leash; 0 is what it has when nobody says. */
const onTerminal = (columns: number, more: Record<string, string> = {}): LeashOptions => ({
  env: {...env, ...more},
  // The command line is handed on word by word, in front of script's own shell.
  through: ['sh', '-c', terminal, 'sh', String(columns)],
})
const terminal = `
  columns=$1; shift
  COMMAND=
  for word; do COMMAND="$COMMAND '$word'"; done
  exec script -q -e -c "stty cols $columns rows 24; exec $COMMAND" /dev/null`

const queueLength = async (): Promise<number> => (await keysUnder(etcd.url, 'leash/lock/x/')).length

describe('on a terminal', () => {
  let holder: Leash
  beforeEach(async () => {
    holder = new Leash(['run', '-l', 'x', '--', 'sh', '-c', 'echo runs; read line'], {env})
    await holder.says(/runs/)
  })
  afterEach(() => holder[Symbol.asyncDispose]())
  const release = (): Promise<Ended> => {
    holder.endInput()
    return holder.end()
  }

  test('a spinner says who holds the lock, since when and on which host, and the job gets a clean line', async () => {
    await using waiter = new Leash(['run', '-l', 'x', 'echo', 'mine'], onTerminal(120))
    const text = await waiter.says(/x: waiting for \S+@\S+ \(pid \d+\) since \S+Z/)
    const [ticket] = await keysUnder(etcd.url, 'leash/lock/x/')
    const {since, user} = JSON.parse(ticket?.value ?? '') as {since: string; user: string}
    expect(text).toBe(`x: waiting for ${user}@${hostname()} (pid ${holder.pid}) since ${since}`)
    await release()
    const {status, stdout} = await waiter.end()
    expect(status).toBe(0)
    expect(stdout).toMatch(colour)
    expect(stripVTControlCharacters(stdout)).toMatch(/mine\r\n$/)
    // The cursor is there again.
    expect(stdout).toContain('\u001b[?25h')
  })

  test('the spinner says how many are ahead', async () => {
    await using between = new Leash(['run', '-l', 'x', 'true'], {env})
    await until('a waiter to queue', async () => (await queueLength()) === 2, {withinMs: 10_000})
    await using waiter = new Leash(['run', '-l', 'x', 'true'], onTerminal(120))
    await waiter.says(/since \S+Z, 1 more ahead of us/)
    await release()
    await between.end()
    expect((await waiter.end()).status).toBe(0)
  })

  test('NO_COLOR is obeyed, by the spinner and by what is said', async () => {
    await using waiter = new Leash(['run', '-v', '-l', 'x', 'true'], onTerminal(120, {NO_COLOR: '1'}))
    await waiter.says(/waiting for \S+@/)
    await release()
    const {stdout} = await waiter.end()
    expect(stdout).toContain('leash: x: acquired')
    expect(stdout).not.toMatch(colour)
  })

  test('a terminal that has no width gets plain lines, and leash ends', async () => {
    await using waiter = new Leash(['run', '-l', 'x', 'echo', 'mine'], onTerminal(0))
    await waiter.says(/x: waiting for/)
    await release()
    const {status, stdout} = await waiter.end()
    expect(status).toBe(0)
    expect(stripVTControlCharacters(stdout)).toMatch(/^- x: waiting for [^\r]*\r\nmine\r\n$/)
  })

  test('contention under --no-wait is worth a line, in colour', async () => {
    const {status, stdout} = await leash(['run', '-n', '-l', 'x', 'true'], onTerminal(120))
    expect(status).toBe(75)
    expect(stdout).toMatch(colour)
    expect(stripVTControlCharacters(stdout)).toMatch(
      /^leash: x: not acquired: held by \S+@\S+ \(pid \d+\) since \S+Z; wait for it with -w\r\n$/,
    )
    await release()
  })

  test('Ctrl-C while waiting ends leash with 130, gives the cursor back and withdraws the ticket', async () => {
    await using waiter = new Leash(['run', '-l', 'x', 'echo', 'never'], onTerminal(120))
    await waiter.says(/waiting for \S+@/)
    waiter.type('\u0003')
    const {status, stdout} = await waiter.end()
    expect(status).toBe(130)
    expect(stdout).toContain('\u001b[?25h')
    expect(await queueLength()).toBe(1)
    await release()
  })

  test('-q shows no spinner', async () => {
    await using waiter = new Leash(['run', '-q', '-l', 'x', 'echo', 'mine'], onTerminal(120))
    await until('the waiter to queue', async () => (await queueLength()) === 2, {withinMs: 10_000})
    await release()
    expect((await waiter.end()).stdout).toBe('mine\r\n')
  })

  test('without a terminal there is nothing of all this', async () => {
    await using waiter = new Leash(['run', '-l', 'x', 'echo', 'mine'], {env: {...env, FORCE_COLOR: '1'}})
    await until('the waiter to queue', async () => (await queueLength()) === 2, {withinMs: 10_000})
    await release()
    expect(await waiter.end()).toEqual({status: 0, stdout: 'mine\n', stderr: ''})
  })
})

test('the job has the terminal on its stdio', async () => {
  const {stdout} = await leash(
    ['run', '-l', 'x', '--', 'sh', '-c', 'test -t 0 && test -t 1 && test -t 2 && stty size'],
    onTerminal(99),
  )
  expect(stdout).toBe('24 99\r\n')
})

test('the job can open its terminal, to ask for a password', async () => {
  const {stdout} = await leash(
    ['run', '-l', 'x', '--', 'sh', '-c', 'echo password: 2>/dev/null >/dev/tty'],
    onTerminal(99),
  )
  expect(stdout).toBe('password:\r\n')
})
