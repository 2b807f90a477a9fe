import {afterEach, describe, expect, test} from 'vitest'
import {type Key, keysUnder} from '../support/etcdGateway.ts'
import {freePorts} from '../support/scratch.ts'
import {until} from '../support/wait.ts'
import {Script, handleAt, handlesAt, keeperAt, script} from './support/Script.ts'
import {nothingLeft} from './support/nothingLeft.ts'
import {useEtcd} from './support/useEtcd.ts'

const etcd = useEtcd()
afterEach(() => etcd.empty())

const tickets = (name = 'x'): Promise<Key[]> => keysUnder(etcd.url, `leash/lock/${name}/`)
const unreachable = {url: 'http://127.0.0.1:1'}

describe('what is printed', () => {
  test('is the path of the handle', async () => {
    const {status, stdout, stderr} = await script(etcd, 'leash acquire x --ttl 60s')
    expect({status, stderr}).toEqual({status: 0, stderr: ''})
    expect(stdout).toMatch(/^\/\S+\/handles\/[0-9a-f]+\n$/)
    expect(handlesAt(etcd.url)).toEqual([])
  })

  test('is made into variables by eval, also without quotes; what belongs to several locks is unset', async () => {
    const one =
      'echo "$LEASH_LOCK $LEASH_FENCE $LEASH_KEY ${LEASH_LOCKS-unset}"; env | grep -c "^LEASH_[HLFK]"'
    await using running = new Script(
      etcd,
      `LEASH_LOCKS=old; eval "$(leash acquire x --ttl 60s --export)" && ${one}; leash release; echo $?
       LEASH_LOCKS=old; eval $(leash acquire x --ttl 60s --export) && ${one}; leash release; echo $?; read line`,
    )
    await until('the second release', () => running.stdout.split('\n').length === 7, {withinMs: 20_000})
    expect(running.stdout).toMatch(/^(x \d+ leash\/lock\/x\/[0-9a-f]+ unset\n5\n0\n){2}$/)
    expect(running.stderr).toBe('')
    await nothingLeft(etcd)
  })

  test('is a list of several locks as one variable', async () => {
    const {stdout} = await script(
      etcd,
      `LEASH_LOCK=old; eval "$(leash acquire b a --ttl 60s --export)" && echo "\${LEASH_LOCK-unset} $LEASH_LOCKS"; leash release`,
    )
    const [, json = ''] = /^unset (\[.*\])\n$/.exec(stdout) ?? []
    expect(JSON.parse(json)).toMatchObject([{lock: 'a'}, {lock: 'b'}])
    await nothingLeft(etcd)
  })

  test('is JSON if that is wanted', async () => {
    await using running = new Script(etcd, 'leash acquire x --ttl 60s --keep $$ --json; read line')
    const {handle, ...rest} = JSON.parse(await running.says(/^\{.*\}\n/)) as {handle: string}
    const [ticket] = await tickets()
    expect(rest).toEqual({
      lease: ticket?.key.split('/').at(-1),
      locks: [{lock: 'x', fence: ticket?.createRevision, key: ticket?.key}],
      ttlMs: 60_000,
      keeper: keeperAt(handle).pid,
    })
  })
})

describe('eval of what is printed has the status', () => {
  const evaluated = async (where: {url: string}, command: string): Promise<string> =>
    (await script(where, `eval "$(${command})"; echo "status $?"; set -e; eval "$(${command})"; echo never`))
      .stdout

  test.each([
    ['of wrong usage', 'leash acquire x --export', 64],
    ['of an option that does not exist', 'leash acquire x --export --nonsense', 64],
    ['of an etcd out of reach', 'leash acquire x --ttl 5s --export --connect-timeout 200ms', 69],
    ['of wrong configuration', 'LEASH_TTL=soon leash acquire x --keep $$ --export', 78],
  ])('%s', async (_, command, status) => {
    expect(await evaluated(unreachable, command)).toBe(`status ${status}\n`)
  })

  test('of contention', async () => {
    await script(etcd, 'leash acquire x --ttl 60s')
    expect(await evaluated(etcd, 'leash acquire x -n --ttl 5s --export')).toBe('status 75\n')
    expect(await evaluated(etcd, 'leash acquire x -n -E 9 --ttl 5s --export')).toBe('status 9\n')
  })
})

describe('a lock that nobody can get to know of is given back', () => {
  test.each([
    ['is closed', '"$program" acquire x --ttl 60s >&-', 'EBADF'],
    ['has no reader', '{ leash acquire x --ttl 60s; } | :', 'EPIPE'],
    ['is a full disk', 'leash acquire x --ttl 60s >/dev/full', 'ENOSPC'],
  ])('when stdout %s', async (_, command, code) => {
    const {stderr} = await script(etcd, `PATH=\${node%/*}:$PATH; ${command}; echo "status $?" >&2`)
    expect(stderr).toContain(
      `leash: x: the handle cannot be printed (${code}), so the lock was given back; let somebody read what acquire prints\n`,
    )
    await nothingLeft(etcd)
    expect(handlesAt(etcd.url)).toEqual([])
  })

  test('with its keeper, and eval ends with 64', async () => {
    await using running = new Script(
      etcd,
      'leash acquire x --keep $$ --export >/dev/full; echo "status $?"; read line',
    )
    await running.says(/status 64/)
    await nothingLeft(etcd)
    await until('the keeper to end', () => running.processes().length === 1, {withinMs: 10_000})
    expect(handlesAt(etcd.url)).toEqual([])
  })

  test('but may vanish by intention', async () => {
    expect((await script(etcd, 'leash acquire x --ttl 60s >/dev/null')).status).toBe(0)
    expect(await tickets()).toHaveLength(1)
  })
})

describe('not acquired', () => {
  test.each<[string, string, number, RegExp]>([
    ['silently with -n', '-n', 75, /^$/],
    ['with another status', '-n -E 3', 3, /^$/],
    [
      'and who holds it, with -v',
      '-n -v',
      75,
      /^leash: x: not acquired: held by \S+ \(pid \d+\) since \S+; wait for it with -w\n$/,
    ],
    [
      'when the wait ran out',
      '-w 2s',
      75,
      /^leash: x: not acquired: the wait ran out; wait longer with -w, or find out who holds it\n$/,
    ],
  ])('%s', async (_, options, status, says) => {
    await using holder = new Script(etcd, 'leash acquire x --keep $$; read line')
    await holder.handle()
    await using running = new Script(
      etcd,
      `leash acquire x ${options} --keep $$; echo "status $?"; read line`,
    )
    await running.says(new RegExp(`^status ${status}\n$`))
    expect(running.stderr).toMatch(says)
    await until('its keeper to end', () => running.processes().length === 1, {withinMs: 10_000})
    expect(await tickets()).toHaveLength(1)
  })

  test('when etcd is out of reach, with 69', async () => {
    const [port = 0] = await freePorts(1)
    const url = `http://127.0.0.1:${port}`
    await using running = new Script(
      {url},
      'leash acquire x --keep $$ --connect-timeout 200ms; echo "status $?"; read line',
    )
    await running.says(/status 69/)
    expect(running.stderr).toBe(
      `leash: x: etcd cannot be reached: ${url}: connect ECONNREFUSED; check the endpoints and the network\n`,
    )
    await until('its keeper to end', () => running.processes().length === 1, {withinMs: 10_000})
  })
})

describe('the lock', () => {
  test('is got when its turn comes, and is kept from then on', async () => {
    await using holder = new Script(
      etcd,
      'LEASH_HANDLE=$(leash acquire x --ttl 2s --keep $$); export LEASH_HANDLE; echo has; read line; leash release',
    )
    await holder.says(/has/)
    await using waiter = new Script(
      etcd,
      'leash acquire x --ttl 2s --keep $$; leash check --handle "$(cat)"; echo "check $?"',
    )
    await until('it to wait', async () => (await tickets()).length === 2, {withinMs: 10_000})
    holder.type('\n')
    const handle = await waiter.handle()
    const {sentAtBootMs} = handleAt(handle)
    await until('renewals', () => handleAt(handle).sentAtBootMs > sentAtBootMs, {withinMs: 10_000})
    expect((await keysUnder(etcd.url, '')).map(({key}) => key.split('/')[1])).toEqual(['lock', 'held'])
    expect(
      (await script(etcd, `leash check --handle ${handle}; leash release --handle ${handle}`)).status,
    ).toBe(0)
    await nothingLeft(etcd)
  })

  test('can be several, all on one lease, and given back together', async () => {
    await using running = new Script(
      etcd,
      'LEASH_HANDLE=$(leash acquire b a --keep $$); export LEASH_HANDLE; echo "$LEASH_HANDLE"; read line; leash release; echo "released $?"',
    )
    const {locks} = handleAt(await running.handle())
    expect(locks.map(({name}) => name)).toEqual(['a', 'b'])
    expect([...(await tickets('a')), ...(await tickets('b'))].map(({key}) => key)).toEqual(
      locks.map(({key}) => key),
    )
    running.type('\n')
    await running.says(/released 0/)
    await nothingLeft(etcd)
  })

  test("can be another program's, by its key: then there is no mark", async () => {
    await using running = new Script(
      etcd,
      'LEASH_HANDLE=$(leash acquire --raw-key locks/x --keep $$); export LEASH_HANDLE; echo "$LEASH_HANDLE"; read line; leash release; echo "released $?"',
    )
    const {locks} = handleAt(await running.handle())
    expect((await keysUnder(etcd.url, '')).map(({key}) => key)).toEqual([locks[0].key])
    expect(locks[0].key).toMatch(/^locks\/x\//)
    running.type('\n')
    await running.says(/released 0/)
    await nothingLeft(etcd)
  })
})

describe('who has it already', () => {
  test('gets the same handle again', async () => {
    const take = 'LEASH_HANDLE=$(leash acquire x --keep $$); echo "$? $LEASH_HANDLE"; export LEASH_HANDLE'
    await using running = new Script(etcd, `${take}; ${take}; leash release; echo end; read line`)
    await running.says(/end/)
    const [first, second] = running.stdout.split('\n')
    expect(first).toMatch(/^0 \/.*[0-9a-f]$/)
    expect(second).toBe(first)
    await nothingLeft(etcd)
  })

  test.each([
    ['one of two locks', 'x --keep $$'],
    ['one more', 'x y z --keep $$'],
    ['them for another process', 'x y --keep $other'],
    ['them without a keeper', 'x y --ttl 60s'],
  ])('is told so if it wants %s, instead of waiting for itself', async (_, wish) => {
    await using running = new Script(
      etcd,
      `sleep 60 & other=$!; LEASH_HANDLE=$(leash acquire x y --keep $$); export LEASH_HANDLE; leash acquire ${wish}; echo "status $?"; read line`,
    )
    await running.says(/status 75/)
    expect(running.stderr).toMatch(
      /^leash: .*: not acquired: it is held already by the handle of this script, \/\S+; use that, or release it before\n$/,
    )
    expect([...(await tickets('x')), ...(await tickets('y')), ...(await tickets('z'))]).toHaveLength(2)
  })

  test('takes another lock beside it, and the same one anew once it was given back', async () => {
    const {stdout} = await script(
      etcd,
      `LEASH_HANDLE=$(leash acquire x --ttl 60s); export LEASH_HANDLE; leash acquire y --ttl 60s >/dev/null; echo $?
       leash release; leash acquire x --ttl 60s >/dev/null; echo $?`,
    )
    expect(stdout).toBe('0\n0\n')
    expect([...(await tickets('x')), ...(await tickets('y'))]).toHaveLength(2)
  })
})
