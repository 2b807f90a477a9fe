import {spawnSync} from 'node:child_process'
import {existsSync, lstatSync, mkdirSync, readdirSync} from 'node:fs'
import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {isAlive} from '../support/processes.ts'
import {until} from '../support/wait.ts'
import {LocalMachine, untilToldJob} from './support/LocalMachine.ts'
import {asAnotherUser, isRoot} from './support/anotherUser.ts'

const nothingSaid = {stdout: '', stderr: ''}

describe.skipIf(!LocalMachine.isPossible).concurrent('on one machine with nothing else installed', () => {
  test('a job runs under a lock, which nobody else gets meanwhile', async () => {
    await using machine = new LocalMachine()
    await using holder = await machine.holder('nightly')
    expect(await machine.run(['run', '--local', '-n', '-l', 'nightly', 'echo', 'never'])).toEqual({
      status: 75,
      ...nothingSaid,
    })
    holder.endInput()
    expect(await holder.end()).toMatchObject({status: 0, stderr: ''})
    const next = await machine.run(['run', '--local', '-n', '-l', 'nightly', 'echo', 'mine'])
    expect(next).toEqual({status: 0, stdout: 'mine\n', stderr: ''})
  })

  test('a login shell and a cron job meet in one lock', async () => {
    await using machine = new LocalMachine()
    const elsewhere = path.join(machine.machine.root, 'elsewhere')
    const names = ['HOME', 'XDG_STATE_HOME', 'XDG_RUNTIME_DIR', 'XDG_DATA_HOME', 'TMPDIR']
    const env = Object.fromEntries(names.map((name) => [name, elsewhere]))
    await using holder = await machine.holder('x', [], {env})
    const onlyEnv = {PATH: '/usr/bin:/bin', LEASH_ENDPOINTS: 'local'}
    expect(await machine.run(['run', '-n', '-l', 'x', 'echo', 'never'], {onlyEnv, cwd: '/'})).toEqual({
      status: 75,
      ...nothingSaid,
    })
    expect(machine.engines()).toHaveLength(1)
    expect(existsSync(elsewhere)).toBe(false)
    holder.endInput()
    expect((await holder.end()).status).toBe(0)
  })

  test('20 first commands at once end with one engine, and run one after the other', async () => {
    await using machine = new LocalMachine()
    const place = path.join(machine.machine.root, 'inside')
    const job = ['sh', '-c', 'mkdir "$0" || echo overlap; rmdir "$0"; echo $LEASH_FENCE', place]
    const ends = await Promise.all(
      Array.from({length: 20}, () => machine.run(['run', '--local', '-l', 'x', '--', ...job])),
    )
    for (const {status, stdout, stderr} of ends)
      expect({status, stdout, stderr}).toEqual({
        status: 0,
        stdout: expect.stringMatching(/^\d+\n$/) as string,
        stderr: '',
      })
    expect(new Set(ends.map(({stdout}) => stdout)).size).toBe(20)
    await until('one engine', () => machine.engines().length === 1, {withinMs: 10_000})
    expect(readdirSync(path.dirname(await machine.socket()))).not.toContain('starting')
  })

  test.skipIf(!isRoot)('nobody else can connect to the engine, nor look into its directory', async () => {
    await using machine = new LocalMachine()
    await machine.run(['run', '--local', '-l', 'x', 'true'])
    const socket = await machine.socket()
    expect((lstatSync(socket).mode & 0o777).toString(8)).toBe('600')
    expect((lstatSync(path.dirname(socket)).mode & 0o777).toString(8)).toBe('700')
    const script = `require('net').connect(${JSON.stringify(socket)}).on('error', (e) => console.log(e.code)).on('connect', () => process.exit(1))`
    const [setpriv, ...args] = asAnotherUser
    const {stdout, status} = spawnSync(setpriv, [...args, process.execPath, '-e', script], {encoding: 'utf8'})
    expect({stdout, status}).toEqual({stdout: 'EACCES\n', status: 0})
  })
})

describe.skipIf(!LocalMachine.isPossible).concurrent('the engine of this machine', () => {
  const onTerminal = [
    'sh',
    '-c',
    `for word; do COMMAND="$COMMAND '$word'"; done; exec script -q -e -c "exec $COMMAND" /dev/null`,
    'sh',
  ]

  test('is what a person gets who has configured nothing, and is told so', async () => {
    await using machine = new LocalMachine()
    const run = machine.machine.through
    const {status, stdout} = await machine.run(['run', '-l', 'x', 'echo', 'mine'], {
      through: [...run, ...onTerminal],
      env: {NO_COLOR: '1'},
    })
    expect(status).toBe(0)
    expect(stdout.replaceAll('\r', '')).toContain(
      'leash: x: no etcd is configured, so this is for user root on this machine only; ' +
        'set LEASH_ENDPOINTS for more machines, or LEASH_ENDPOINTS=local if this is meant\n',
    )
    expect(stdout).toContain('mine')
  })

  test.skipIf(!isRoot).each([
    ['its directory', 'nr_inodes=3', 78, /^leash: x: the directory .* cannot be made: ENOSPC; make room in /],
    ['its store', 'size=64k', 69, /^leash: x: the disk has no room for the store .*; make room there\n$/],
  ])('asks for room when a disk has none for %s', async (_, limit, status, stderr) => {
    await using machine = new LocalMachine()
    const mount = `mount -t tmpfs -o mode=700,${limit} none '${machine.machine.home}' && exec "$@"`
    const through = ['unshare', '--mount', 'sh', '-c', mount, 'sh']
    expect(await machine.run(['run', '--local', '-l', 'x', 'echo', 'never'], {through})).toEqual({
      status,
      stdout: '',
      stderr: expect.stringMatching(stderr) as string,
    })
  })

  test('is named by a command that it does not answer, which says how to replace it', async () => {
    await using machine = new LocalMachine()
    await machine.run(['run', '--local', '-l', 'x', 'true'])
    const engine = await machine.engine()
    process.kill(engine, 'SIGSTOP')
    const env = {LEASH_CONNECT_TIMEOUT: '2s'}
    expect(await machine.run(['run', '--local', '-l', 'x', 'echo', 'never'], {env})).toEqual({
      status: 69,
      stdout: '',
      stderr: `leash: x: the engine of user root on this machine cannot be reached: unix:${await machine.socket()}: no answer in time; run leash serve: it takes the place of one that does not answer, or says why it cannot\n`,
    })
    await using serving = machine.start(['serve'])
    await serving.says(/^serves/m)
    expect(await machine.run(['run', '--local', '-l', 'x', 'true'])).toEqual({status: 0, ...nothingSaid})
    process.kill(engine, 'SIGCONT')
    await until('the one that it has replaced to end', () => !isAlive(engine), {withinMs: 10_000})
    expect(await machine.run(['run', '--local', '-l', 'x', 'true'])).toEqual({status: 0, ...nothingSaid})
    expect(machine.engines()).toEqual([serving.pid])
  })

  test('is not looked for in another place by who may not read which machine this is', async () => {
    await using machine = new LocalMachine()
    mkdirSync(path.join(machine.machine.root, 'etc/machine-id'))
    expect(await machine.run(['run', '--local', '-l', 'x', 'echo', 'never'])).toEqual({
      status: 78,
      stdout: '',
      stderr:
        'leash: x: /etc/machine-id cannot be read (EISDIR), and local locks are found by it; ' +
        'let this user read it, or name the members of an etcd in LEASH_ENDPOINTS\n',
    })
    expect(existsSync(machine.state)).toBe(false)
  })

  test('is nobody’s who is configured for an etcd that is away', async () => {
    await using machine = new LocalMachine()
    machine.machine.writeSystemFile('LEASH_ENDPOINTS=127.0.0.1:1\nLEASH_CONNECT_TIMEOUT=300ms\n')
    expect(await machine.run(['run', '-l', 'x', 'echo', 'never'])).toMatchObject({status: 69, stdout: ''})
    expect(machine.engines()).toEqual([])
  })

  test('and an etcd are not to be had together', async () => {
    await using machine = new LocalMachine()
    const both = ['run', '--local', '--endpoints', 'a:1', '-l', 'x', 'true']
    expect(await machine.run(both)).toMatchObject({status: 64, stdout: ''})
    expect(await machine.run(['run', '--local', '-l', 'x', 'true'], {env: {LEASH_USER: 'a:secret'}})).toEqual(
      {
        status: 78,
        stdout: '',
        stderr:
          'leash: x: LEASH_USER is for an etcd, and the engine of this machine has neither TLS nor users; ' +
          'unset it, or name the members of the etcd in LEASH_ENDPOINTS\n',
      },
    )
    expect(existsSync(machine.state)).toBe(false)
  })

  test('is found by a handle alone, and by its keeper', async () => {
    await using machine = new LocalMachine()
    const acquired = await machine.run(['acquire', '--local', 'x', '--ttl', '60s'])
    expect(acquired).toMatchObject({status: 0, stderr: ''})
    const env = {LEASH_HANDLE: acquired.stdout.trim()}
    await machine.killEngine()
    expect(await machine.run(['check', '--for', '10s'], {env})).toMatchObject({status: 0, stderr: ''})
    expect(await machine.run(['run', '--local', '-n', '-l', 'x', 'true'])).toMatchObject({status: 75})
    expect(await machine.run(['release'], {env})).toEqual({status: 0, ...nothingSaid})
    const kept = machine.start(['acquire', '--local', 'x', '--keep', String(process.pid)])
    const handle = (await kept.says(/^\/.*$/m)).trim()
    expect(await machine.run(['check'], {env: {LEASH_HANDLE: handle}})).toMatchObject({status: 0})
    expect(await machine.run(['release'], {env: {LEASH_HANDLE: handle}})).toEqual({status: 0, ...nothingSaid})
    expect((await kept.end()).status).toBe(0)
  })

  test('is found by a handle, a keeper and a guard also where an etcd is configured by default', async () => {
    await using machine = new LocalMachine()
    machine.machine.writeSystemFile('LEASH_ENDPOINTS=https://etcd-1:2379\nLEASH_CACERT=/etc/ca.pem\n')
    machine.machine.write(
      path.join(path.dirname(machine.machine.userFile), 'here.env'),
      'LEASH_ENDPOINTS=local\n',
    )
    const here = ['--profile', 'here']
    const kept = machine.start(['acquire', ...here, 'x', '--keep', String(process.pid)])
    const env = {LEASH_HANDLE: (await kept.says(/^\/.*$/m)).trim()}
    expect(await machine.run(['check'], {env})).toEqual({status: 0, ...nothingSaid})
    expect(await machine.run(['release'], {env})).toEqual({status: 0, ...nothingSaid})
    expect((await kept.end()).status).toBe(0)
    await using holder = machine.start(['run', ...here, '--ttl', '1h', '-l', 'x', '--', ...untilToldJob])
    await holder.says(/^runs/m)
    await holder.killHard()
    expect(await machine.run(['run', ...here, '-w', '20s', '-l', 'x', 'echo', 'mine'])).toMatchObject({
      status: 0,
      stdout: 'mine\n',
    })
  })

  test('serves elections and those who observe them', async () => {
    await using machine = new LocalMachine()
    await using observer = machine.start(['observe', '--local', 'api'])
    await using leader = machine.start([
      'campaign',
      '--local',
      'api',
      '--value',
      'me:1',
      '--',
      ...untilToldJob,
    ])
    await leader.says(/^runs/m)
    expect(await machine.run(['leader', '--local', 'api'])).toEqual({status: 0, stdout: 'me:1\n', stderr: ''})
    await observer.says(/me:1/)
    leader.endInput()
    expect(await leader.end()).toMatchObject({status: 0})
    expect(await machine.run(['leader', '--local', 'api'])).toEqual({status: 1, ...nothingSaid})
  })
})
