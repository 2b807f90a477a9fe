import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {Leash, leash} from '../cli/support/leash.ts'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {compact, keysUnder, put, status} from '../support/etcdGateway.ts'
import {until} from '../support/wait.ts'
import {EtcdctlProcess} from './EtcdctlProcess.ts'

/** How the election is called on both sides. */
const names = [
  {title: 'an election of leash', leashOptions: ['a/pi'], etcdctlName: 'leash/election/a%2Fpi'},
  {title: "another program's election", leashOptions: ['--raw-key', '/my/app'], etcdctlName: '/my/app'},
]

interface Printed {
  event: string
  revision: string
  key: string
  value: string
}

describe.each<EtcdVersion>(['3.4', '3.5'])('etcdctl elect of etcd %s', (version) => {
  let etcd: EtcdServer
  beforeAll(async () => {
    etcd = await EtcdServer.start({version})
  })
  afterAll(() => etcd[Symbol.asyncDispose]())

  describe.each(names)('$title', ({leashOptions, etcdctlName}) => {
    const candidate = async (value: string): Promise<EtcdctlProcess> => {
      const process = new EtcdctlProcess(etcd, 'elect', etcdctlName, value)
      const stands = async (): Promise<boolean> =>
        (await keysUnder(etcd.url, `${etcdctlName}/`)).some((ticket) => ticket.value === value)
      await until('etcdctl to stand in the queue', stands, {withinMs: 10_000})
      return process
    }
    const proclaim = async (value: string): Promise<void> => {
      const [first] = await keysUnder(etcd.url, `${etcdctlName}/`)
      await etcd.etcdctl('put', '--ignore-lease', first?.key ?? '', value)
    }
    const leader = async (...more: string[]) =>
      leash(['leader', '--endpoints', etcd.url, ...more, ...leashOptions])

    test('leash names the leader as etcdctl does', async () => {
      expect(await leader()).toEqual({status: 1, stdout: '', stderr: ''})
      await using first = await candidate('one')
      await using second = await candidate('two')
      expect(await leader()).toEqual({status: 0, stdout: 'one\n', stderr: ''})
      await proclaim('uno')
      expect(await leader()).toEqual({status: 0, stdout: 'uno\n', stderr: ''})
      await first.interrupt()
      expect(await leader()).toEqual({status: 0, stdout: 'two\n', stderr: ''})
      await second.interrupt()
      expect((await leader()).status).toBe(1)
    })

    test('candidates of both lead in the order in which they came', async () => {
      const ours = (value: string): Leash =>
        new Leash(['campaign', '--endpoints', etcd.url, '--value', value, ...leashOptions])
      await using first = ours('one')
      await first.says(/elected/)
      await using second = await candidate('two')
      await using third = ours('three')
      const all = async (): Promise<boolean> => (await keysUnder(etcd.url, `${etcdctlName}/`)).length === 3
      await until('all to stand in the queue', all, {withinMs: 10_000})
      expect(second.output).toBe('')
      first.kill('SIGTERM')
      expect((await first.end()).status).toBe(143)
      await until('etcdctl to lead', () => second.output.endsWith('\ntwo\n'), {withinMs: 10_000})
      expect(await leader()).toMatchObject({stdout: 'two\n'})
      expect(third.stdout).toBe('')
      await second.interrupt()
      await third.says(/elected/)
      await using observer = new EtcdctlProcess(etcd, 'elect', '-l', etcdctlName)
      await until('etcdctl to see it', () => observer.output.endsWith('\nthree\n'), {withinMs: 10_000})
      third.kill('SIGTERM')
      expect((await third.end()).status).toBe(143)
    })

    test('observers on both sides print the same, through cut connections and a compaction', async () => {
      await using link = await TcpProxy.to(etcd)
      await using first = await candidate('one')
      await using theirs = new EtcdctlProcess(etcd, 'elect', '-l', etcdctlName)
      await using ours = new Leash(['observe', '--json', '--endpoints', link.url, ...leashOptions])
      const oursPrinted = (): Printed[] =>
        ours.stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Printed]))
      const pairs = (): string[] =>
        oursPrinted().flatMap(({key, value}) => (value === undefined ? [] : [`${key}\n${value}\n`]))
      const detail = (): string => `etcdctl:\n${theirs.output}\nleash:\n${ours.stdout}${ours.stderr}`
      /** Go's observer reads anew after a leader has gone: so it must have caught up before the next change. */
      const bothPrint = (count: number): Promise<unknown> =>
        until('both to print it', () => pairs().length === count && pairs().join('') === theirs.output, {
          withinMs: 20_000,
          detail,
        })
      await bothPrint(1)
      await proclaim('uno')
      await bothPrint(2)
      link.dropConnections()
      await proclaim('un')
      await bothPrint(3)
      link.reset()
      await put(etcd.url, 'elsewhere', '')
      await compact(etcd.url, (await status(etcd.url)).revision)
      await using second = await candidate('two')
      await first.interrupt()
      await link.heal()
      await bothPrint(4)
      await proclaim('deux')
      await bothPrint(5)
      await second.interrupt()
      await ours.says(/"vacant"/)
      await using third = await candidate('three')
      await bothPrint(6)
      await third.interrupt()
      const revisions = oursPrinted().flatMap(({revision}) => (revision ? [BigInt(revision)] : []))
      expect(revisions).toEqual([...new Set(revisions)].toSorted((one, other) => Number(one - other)))
      ours.kill('SIGTERM')
      expect((await ours.end()).status).toBe(143)
    })
  })
})
