import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {text} from 'node:stream/consumers'
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import {EngineProcess} from '../support/EngineProcess.ts'
import {etcdctl, etcdctlProgram} from '../support/EtcdServer.ts'
import {until} from '../support/wait.ts'
import {EtcdctlLock} from './EtcdctlLock.ts'
import {EtcdctlProcess, type Endpoint} from './EtcdctlProcess.ts'

let engine: EngineProcess
let endpoint: Endpoint

beforeAll(async () => {
  engine = await EngineProcess.start()
  endpoint = {version: '3.5', url: `unix://${engine.socketPath}`}
})

afterAll(() => engine[Symbol.asyncDispose]())

beforeEach(async () => {
  await ctl('del', '--prefix', '')
})

/** etcdctl's stdout; an error with its stderr. */
const ctl = (...args: string[]): Promise<string> => etcdctl(endpoint.version, endpoint.url, ...args)

/** etcdctl with something on its stdin. */
const ctlReading = async (input: string, ...args: string[]): Promise<string> => {
  const child = spawn(etcdctlProgram(endpoint.version), ['--endpoints', endpoint.url, ...args], {
    env: {...process.env, ETCDCTL_API: '3'},
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const output = text(child.stdout)
  child.stdin.end(input)
  await once(child, 'exit')
  return output
}

const printed = (program: EtcdctlProcess, part: string): Promise<unknown> =>
  until(`etcdctl to print ${part}`, () => program.output.includes(part), {
    withinMs: 10_000,
    detail: () => `${program.output}${program.errors}`,
  })

describe('etcdctl 3.5 on the socket of the local engine', () => {
  test('puts, gets and deletes, in order, with limits and values before', async () => {
    expect(await ctl('put', 'b', 'two')).toBe('OK\n')
    await ctl('put', 'a', 'one')
    await ctl('put', 'c', 'three')
    expect(await ctl('put', '--prev-kv', 'a', 'uno')).toBe('OK\na\none\n')
    expect(await ctl('get', '--prefix', '')).toBe('a\nuno\nb\ntwo\nc\nthree\n')
    const last = [
      'get',
      '--prefix',
      '--keys-only',
      '--limit',
      '1',
      '--sort-by',
      'CREATE',
      '--order',
      'DESCEND',
    ]
    expect(await ctl(...last, '')).toBe('c\n\n')
    expect(await ctl('get', '--from-key', '--print-value-only', 'b')).toBe('two\nthree\n')
    const {header} = JSON.parse(await ctl('get', '-w', 'json', 'a')) as {header: {revision: number}}
    expect(await ctl('get', '--rev', String(header.revision - 1), 'a')).toBe('a\none\n')
    expect(await ctl('del', '--prev-kv', '--prefix', '')).toBe('3\na\nuno\nb\ntwo\nc\nthree\n')
    expect(await ctl('get', '--prefix', '')).toBe('')
  })

  test('takes the side of a transaction that its compares choose', async () => {
    await ctl('put', 'a', 'one')
    const txn = 'value("a") = "one"\nversion("b") = "0"\n\nput b two\nget a\n\nget b\n\n'
    expect(await ctlReading(txn, 'txn')).toBe('SUCCESS\n\nOK\n\na\none\n')
    expect(await ctlReading(txn, 'txn')).toBe('FAILURE\n\nb\ntwo\n')
  })

  test('grants, keeps, lists and revokes leases, and a lease takes its keys along', async () => {
    const [, id = ''] =
      /^lease (\w+) granted with TTL\(600s\)\n$/.exec(await ctl('lease', 'grant', '600')) ?? []
    await ctl('put', '--lease', id, 'a', 'one')
    expect(await ctl('lease', 'list')).toContain(`${id}\n`)
    expect(await ctl('lease', 'timetolive', '--keys', id)).toMatch(
      new RegExp(
        `^lease ${id} granted with TTL\\(600s\\), remaining\\(5\\d\\ds\\), attached keys\\(\\[a\\]\\)\n$`,
      ),
    )
    expect(await ctl('lease', 'keep-alive', '--once', id)).toBe(`lease ${id} keepalived with TTL(600)\n`)
    expect(await ctl('lease', 'revoke', id)).toBe(`lease ${id} revoked\n`)
    expect(await ctl('get', 'a')).toBe('')
    expect(await ctl('lease', 'timetolive', id)).toBe(`lease ${id} already expired\n`)
    await expect(ctl('lease', 'revoke', id)).rejects.toThrow('requested lease not found')
  })

  test('watches from now and from a revision', async () => {
    await ctl('put', 'a', 'zero')
    const {header} = JSON.parse(await ctl('get', '-w', 'json', 'a')) as {header: {revision: number}}
    const from = ['watch', '--prev-kv', '--rev', String(header.revision)]
    await using past = new EtcdctlProcess(endpoint, ...from, 'a')
    await printed(past, 'PUT\n')
    await using present = new EtcdctlProcess(endpoint, 'watch', '--prefix', '')
    // It says nothing when it is there: written until it tells something.
    await until(
      'etcdctl to watch',
      async () => {
        await ctl('put', 'seen', 'yet')
        return present.output.includes('seen')
      },
      {withinMs: 10_000},
    )
    await ctl('put', 'a', 'one')
    await ctl('del', 'a')
    await printed(past, 'DELETE\na\none\na\n\n')
    await printed(present, 'DELETE\na\n\n')
    expect(past.output).toBe('PUT\na\nzero\nPUT\na\nzero\na\none\nDELETE\na\none\na\n\n')
    expect(present.output).toMatch(/^(PUT\nseen\nyet\n)+PUT\na\none\nDELETE\na\n\n$/)
  })

  test('locks in turn, also after one that was killed', async () => {
    const first = await EtcdctlLock.holding(endpoint, 'nightly')
    await using second = new EtcdctlLock(endpoint, 'nightly')
    await until('the second to queue', async () => (await keysUnder('nightly/')).length === 2, {
      withinMs: 10_000,
    })
    expect(second.hasLock).toBe(false)
    await first.killHard()
    await second.locked()
    expect(await keysUnder('nightly/')).toEqual([second.key])
    await second.release()
    expect(await keysUnder('nightly/')).toEqual([])
  })

  test('elects in turn, and an observer sees each leader', async () => {
    await using observer = new EtcdctlProcess(endpoint, 'elect', '-l', 'api')
    const first = new EtcdctlProcess(endpoint, 'elect', 'api', 'one')
    await printed(first, '\none\n')
    await using second = new EtcdctlProcess(endpoint, 'elect', 'api', 'two')
    await until('the second to queue', async () => (await keysUnder('api/')).length === 2, {withinMs: 10_000})
    expect(second.output).toBe('')
    await first.interrupt()
    await printed(second, '\ntwo\n')
    await printed(observer, '\ntwo\n')
    expect(observer.output.split('\n').filter((line) => ['one', 'two'].includes(line))).toEqual([
      'one',
      'two',
    ])
    await second.interrupt()
  })
})

const keysUnder = async (prefix: string): Promise<string[]> =>
  (await ctl('get', '--prefix', '--keys-only', prefix)).split('\n').filter((line) => line !== '')
