import {constants} from 'node:os'
import {afterEach, describe, expect, test} from 'vitest'
import {GrpcProxy} from '../support/GrpcProxy.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {keysUnder, leases} from '../support/etcdGateway.ts'
import {pause, until} from '../support/wait.ts'
import {Script, handlesAt} from './support/Script.ts'
import {useEtcd} from './support/useEtcd.ts'

/* Whatever ends acquire before it has said what it has: neither ticket nor keeper nor handle stays. */

const etcd = useEtcd()
afterEach(() => etcd.empty())

const soon = {withinMs: 20_000, everyMs: 5}
const statusOf = (signal: 'SIGINT' | 'SIGTERM' | 'SIGKILL'): number => 128 + constants.signals[signal]

/** Says its own end, and goes on: nothing of it is to end because the script ends. */
const script = (where: {url: string}, options = ''): Script =>
  new Script(
    where,
    `"$node" "$program" acquire x --ttl 3s ${options} & echo "pid $!"; wait $!; echo "status $?"; read line`,
  )

const pidOf = async (running: Script): Promise<number> => Number((await running.says(/pid \d+\n/)).slice(4))

/** Its status; then all that it has started is gone, and its lock, without waiting for the lease. */
const traceless = async (running: Script, at: string): Promise<string> => {
  const status = (await running.says(/status \d+\n/)).trim()
  // Sooner than a keeper that nobody wants any more would give up by itself.
  await until('all but the shell to end', () => running.processes().length === 1, {
    ...soon,
    withinMs: 5000,
    detail: () => JSON.stringify(running.processes()),
  })
  await until('no ticket', async () => (await keysUnder(etcd.url, 'leash/lock/')).length === 0, soon)
  expect(handlesAt(at)).toEqual([])
  return status
}

describe.each(['SIGINT', 'SIGTERM'] as const)('%s', (signal) => {
  const ended = `status ${statusOf(signal)}`

  test.each(['', '--keep $$'])('while it waits in the queue (%s)', async (options) => {
    await using holder = new Script(etcd, 'leash acquire x --keep $$; read line')
    await holder.handle()
    await using running = script(etcd, options)
    const pid = await pidOf(running)
    const queue = async (): Promise<number> => (await keysUnder(etcd.url, 'leash/lock/')).length
    await until('it to wait', async () => (await queue()) === 2, soon)
    process.kill(pid, signal)
    expect((await running.says(/status \d+\n/)).trim()).toBe(ended)
    await until('all but the shell to end', () => running.processes().length === 1, soon)
    expect(await queue()).toBe(1)
    expect(running.stderr).toBe('')
  })

  test.each([
    ['the lease is granted', 'LeaseGrant'],
    ['the ticket is put', 'Txn'],
    ['the keeper confirms it', 'LeaseKeepAlive'],
  ])('while %s', async (_, method) => {
    await using relay = await GrpcProxy.to(etcd.server)
    await using wire = await TcpProxy.to(relay)
    await using running = script(wire, '--keep $$')
    const pid = await pidOf(running)
    await until('a connection', () => wire.connectionCount > 0, soon)
    wire.delay(100)
    await until('the request', () => relay.methods.includes(method), soon)
    process.kill(pid, signal)
    expect(await traceless(running, wire.url)).toBe(ended)
    expect(running.stderr).toBe('')
    await until('no lease', async () => (await leases(etcd.url)).length === 0, soon)
    expect(await keysUnder(etcd.url, '')).toEqual([])
  })

  test('while it asks whether it has the lock already', async () => {
    await using wire = await TcpProxy.to(etcd.server)
    await using running = new Script(
      wire,
      `LEASH_HANDLE=$(leash acquire x --ttl 60s); export LEASH_HANDLE; echo "$LEASH_HANDLE"; read line
       "$node" "$program" acquire x --ttl 60s & echo "pid $!"; wait $!; echo "status $?"`,
    )
    await running.handle()
    wire.blackhole()
    running.type('\n')
    const pid = await pidOf(running)
    const before = wire.connectionCount
    await until('it to ask', () => wire.connectionCount > before, soon)
    process.kill(pid, signal)
    expect((await running.says(/status \d+\n/)).trim()).toBe(ended)
  })
})

test('eval of what is printed has 130 after a Ctrl-C', async () => {
  await using holder = new Script(etcd, 'leash acquire x --keep $$; read line')
  await holder.handle()
  await using running = new Script(
    etcd,
    `eval "$("$node" "$program" acquire x --keep $$ --export & echo "pid $!" >&2; wait $!)"; echo "status $?"`,
  )
  const pid = Number((await running.says(/pid \d+\n/, 'stderr')).slice(4))
  await until('it to wait', async () => (await keysUnder(etcd.url, 'leash/lock/')).length === 2, soon)
  process.kill(pid, 'SIGINT')
  await running.says(/status 130/)
})

test('killed at any moment of its start it leaves no keeper that holds the lock', async () => {
  const momentsMs = [0, 30, 60, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 700]
  for (let next = momentsMs.splice(0, 2); next.length > 0; next = momentsMs.splice(0, 2)) {
    await Promise.all(
      next.map(async (ms) => {
        await using running = script(etcd, '-n --keep $$')
        const pid = await pidOf(running)
        await pause(ms)
        try {
          process.kill(pid, 'SIGKILL')
        } catch {
          // It has ended: the other one has the lock, or it has it itself.
        }
        const status = (await running.says(/status \d+\n/)).trim()
        if (status === 'status 75') return
        // Killed after it had printed the handle and told its keeper to go on, it has done all.
        if (handlesAt(etcd.url).length > 0 && running.stdout.includes('/handles/')) return
        expect(status).toBe(`status ${statusOf('SIGKILL')}`)
        await until('all but the shell to end', () => running.processes().length === 1, soon)
        expect(running.stdout).not.toContain('/handles/')
      }),
    )
    await etcd.empty()
  }
})
