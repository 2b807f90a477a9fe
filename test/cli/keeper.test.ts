import {readFileSync, readlinkSync, readdirSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterEach, describe, expect, test} from 'vitest'
import {keysUnder} from '../support/etcdGateway.ts'
import {isAlive, parentOf} from '../support/processes.ts'
import {scratchDirectory} from '../support/scratch.ts'
import {until} from '../support/wait.ts'
import {Script, handleAt, handleDirectory, keeperAt} from './support/Script.ts'
import {nothingLeft} from './support/nothingLeft.ts'
import {useEtcd} from './support/useEtcd.ts'

const etcd = useEtcd()
afterEach(() => etcd.empty())

const tickets = (): Promise<unknown[]> => keysUnder(etcd.url, 'leash/lock/x/')
const soon = {withinMs: 10_000}

describe('a keeper', () => {
  test('leaves nothing when the lock is given back: no key, no lease, no process, no socket; the handle says so', async () => {
    await using script = new Script(
      etcd,
      `LEASH_HANDLE=$(leash acquire x --keep $$); export LEASH_HANDLE
      echo "$LEASH_HANDLE"; read line; leash release; echo "released $?"; read line; leash release; echo "again $?"`,
    )
    const handle = await script.handle()
    const {pid, guard, keeps} = keeperAt(handle)
    expect([isAlive(pid), isAlive(guard.pid), keeps.pid]).toEqual([true, true, script.pid])
    expect(await keysUnder(etcd.url, 'leash/')).toHaveLength(2)
    script.type('\n')
    await script.says(/released 0/)
    await nothingLeft(etcd)
    await until('keeper and guard to end', () => script.processes().length === 1, soon)
    expect(readdirSync(handleDirectory()).filter((name) => name.startsWith(path.basename(handle)))).toEqual([
      path.basename(handle),
    ])
    expect(handleAt(handle).ended).toEqual({how: 'released'})
    script.type('\n')
    expect(await script.end()).toMatchObject({status: 0, stderr: ''})
    expect(script.stdout).toContain('again 0')
  })

  test('renews: the lock is held for much longer than its lease lasts', async () => {
    await using script = new Script(etcd, 'leash acquire x --ttl 2s --keep $$; read line')
    const handle = await script.handle()
    const first = handleAt(handle).sentAtBootMs
    await until('renewals for two TTLs', () => handleAt(handle).sentAtBootMs > first + 4000, soon)
    expect(await tickets()).toHaveLength(1)
  })

  test('renews for a check that wants more than is left of its last renewal', async () => {
    await using script = new Script(
      etcd,
      `LEASH_HANDLE=$(leash acquire x --keep $$); export LEASH_HANDLE
      echo "$LEASH_HANDLE"; read line; leash check --for 40s; echo "checked $?"; read line`,
    )
    const handle = await script.handle()
    const {sentAtBootMs} = handleAt(handle)
    // As if that had been 20 s ago: of 48 s until TERM, 28 are left.
    const earlier = {
      ...(JSON.parse(readFileSync(handle, 'utf8')) as object),
      sentAtBootMs: sentAtBootMs - 20_000,
    }
    writeFileSync(handle, JSON.stringify(earlier))
    script.type('\n')
    await script.says(/checked 0/)
    expect(handleAt(handle).sentAtBootMs).toBeGreaterThan(sentAtBootMs)
  })

  test('holds no pipe of the script: who reads what it prints sees the end of it', async () => {
    await using script = new Script(
      etcd,
      `sleep 60 & leash acquire x --ttl 2s --keep $! 2>&1 | cat; echo end of file`,
    )
    await script.says(/end of file/)
    expect(await tickets()).toHaveLength(1)
  })

  test.each([9, 19, 200])(
    'holds no descriptor of the script, nor does its guard: flock on %i is free when the script ends',
    async (descriptor) => {
      const directory = scratchDirectory('keeper')
      const file = path.join(directory, 'lock')
      try {
        await using script = new Script(
          etcd,
          `exec ${descriptor}>"$FILE"; flock -n ${descriptor}; leash acquire x --ttl 2s --keep $$; read line`,
          {shell: 'bash', env: {FILE: file}},
        )
        const {pid, guard} = keeperAt(await script.handle())
        expect([...filesOf(pid), ...filesOf(guard.pid)].filter((one) => one === file)).toEqual([])
      } finally {
        rmSync(directory, {recursive: true})
      }
    },
  )

  test('stands alone: in a session of its own, in /, and nobody waits for it', async () => {
    await using script = new Script(etcd, 'leash acquire x --ttl 2s --keep $$; read line')
    const {pid, guard} = keeperAt(await script.handle())
    expect(readlinkSync(`/proc/${pid}/cwd`)).toBe('/')
    expect(readlinkSync(`/proc/${guard.pid}/cwd`)).toBe('/')
    expect([sessionOf(pid), sessionOf(guard.pid)]).toEqual([pid, guard.pid])
    // Nobody of the script: it would have a child that it knows nothing of.
    expect([script.pid, process.pid]).not.toContain(parentOf(pid))
    expect(readFileSync(`/proc/${pid}/environ`, 'latin1')).not.toContain('LEASH_HANDLE')
  })

  test('goes on at signals that are meant for the job', async () => {
    await using script = new Script(etcd, 'leash acquire x --ttl 2s --keep $$; read line')
    const handle = await script.handle()
    const {pid} = keeperAt(handle)
    for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const)
      process.kill(pid, signal)
    const {sentAtBootMs} = handleAt(handle)
    await until('the next renewal', () => handleAt(handle).sentAtBootMs > sentAtBootMs, soon)
    expect(isAlive(pid)).toBe(true)
    expect(await tickets()).toHaveLength(1)
  })
})

describe('when the script', () => {
  test('is killed, the lease is left to run out: the ticket stays until then, and the mark', async () => {
    await using script = new Script(etcd, 'leash acquire x --ttl 4s --keep $$; read line')
    const handle = await script.handle()
    const {pid} = keeperAt(handle)
    script.kill('SIGKILL')
    await until('the keeper to end', () => !isAlive(pid), soon)
    expect(await tickets()).toHaveLength(1)
    expect(handleAt(handle).ended).toEqual({how: 'left'})
    await until('the ticket to go', async () => (await tickets()).length === 0, soon)
    expect((await keysUnder(etcd.url, '')).map(({key}) => key)).toEqual(['leash/held/lock/x'])
    await script.isGone()
  })

  test('ends without giving it back, it is just the same', async () => {
    await using script = new Script(etcd, 'leash acquire x --ttl 2s --keep $$')
    const handle = await script.handle()
    expect((await script.end()).status).toBe(0)
    await until('the handle to say so', () => handleAt(handle).ended?.how === 'left', soon)
    await script.isGone()
  })

  test('becomes another program, it is kept as before', async () => {
    await using script = new Script(etcd, 'leash acquire x --ttl 2s --keep $$; exec sleep 60')
    const handle = await script.handle()
    const {sentAtBootMs} = handleAt(handle)
    await until('some renewals', () => handleAt(handle).sentAtBootMs > sentAtBootMs + 2000, soon)
    expect(handleAt(handle).ended).toBeUndefined()
    script.kill('SIGKILL')
    await until('its end to be seen', () => handleAt(handle).ended?.how === 'left', soon)
  })

  test('has ended before the lock is free, the lock is not taken for it', async () => {
    await using holder = new Script(etcd, 'leash acquire x --ttl 2s --keep $$; read line')
    const handle = await holder.handle()
    await using waiter = new Script(etcd, 'leash acquire x --keep $$')
    await until('it to wait', async () => (await tickets()).length === 2, soon)
    waiter.kill('SIGKILL')
    await until('its ticket to be gone', async () => (await tickets()).length === 1, soon)
    await waiter.isGone()
    expect(isAlive(keeperAt(handle).pid)).toBe(true)
  })
})

const filesOf = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/fd`).map((descriptor) => readlinkSync(`/proc/${pid}/fd/${descriptor}`))

const sessionOf = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3])
}
