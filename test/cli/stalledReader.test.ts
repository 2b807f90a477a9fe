import {afterAll, beforeAll, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {keysUnder} from '../support/etcdGateway.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {until} from '../support/wait.ts'
import {Leash} from './support/leash.ts'

let etcd: EtcdServer
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
})
afterAll(() => etcd[Symbol.asyncDispose]())

/** Fills the pipe that it shares with leash as stderr (Linux holds 64 KiB in it), says so, and lives on. */
const job = 'head -c 65536 /dev/zero >&2; echo filled; trap "" TERM; while :; do sleep 0.1; done'

test('a reader of stderr that has stalled does not keep leash from ending the job in time', async () => {
  await using link = await TcpProxy.to(etcd)
  // leash stands in front of a program that never reads what comes out of the pipe.
  const through = ['sh', '-c', 'exec 3>&1; "$@" 2>&1 >&3 3>&- | sleep 1000', 'sh']
  const args = ['run', '-l', 'x', '--ttl', '3s', '--', 'sh', '-c', job, 'the-job']
  await using run = new Leash(args, {env: {LEASH_ENDPOINTS: link.url}, through})
  await run.says(/filled/)
  link.blackhole()
  const isJob = ({command}: {command: string}): boolean => /^sh -c head.* the-job$/.test(command)
  expect(run.processes().filter(isJob)).toHaveLength(1)
  await until(
    'the job to be gone',
    async () => {
      if (!run.processes().some(isJob)) return true
      const tickets = await keysUnder(etcd.url, 'leash/lock/x/')
      if (tickets.length === 0) throw new Error('the lock could pass on while the job lived')
      return false
    },
    {withinMs: 10_000, everyMs: 5},
  )
})
