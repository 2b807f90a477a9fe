import {readFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {EtcdServer, etcdctlProgram} from '../support/EtcdServer.ts'
import {freePorts} from '../support/scratch.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {until} from '../support/wait.ts'
import {Idioms} from './support/Idioms.ts'
import {inEachShell} from './support/inEachShell.ts'
import {shellPrograms} from './support/ScriptPlace.ts'
import {Leash, leash} from './support/leash.ts'
import {handleAt, keeperAt, removeHandlesAt} from './support/Script.ts'

const idioms = new Idioms('shell.md')
const idiom = (name: string): string => idioms.script(name)

let etcd: EtcdServer
beforeAll(async () => {
  etcd = await EtcdServer.start()
})
afterAll(async () => {
  removeHandlesAt(etcd.url)
  await etcd[Symbol.asyncDispose]()
})

const shells = inEachShell(() => etcd)

/** A step's body: what somebody else gets who wants the lock now. */
const asksFor = (lock: string): string => `leash run -n -l ${lock} true; echo "${lock}: $?" >>ran`
/** A step's body: somebody takes the lock away from a script that has no keeper. */
const takesAway = (): string => {
  const etcdctl = `ETCDCTL_API=3 '${etcdctlProgram('3.5')}' --endpoints '${etcd.url}'`
  return `${etcdctl} lease revoke "$(sed 's/.*"lease":"\\([^"]*\\)".*/\\1/' "$LEASH_HANDLE")"`
}
const nobodyListens = async (): Promise<Record<string, string>> => {
  const [port] = await freePorts(1)
  return {LEASH_ENDPOINTS: `http://127.0.0.1:${port}`, LEASH_CONNECT_TIMEOUT: '200ms'}
}

describe('a section', () => {
  shells('holds the lock during its steps, and not after', async (shell, place) => {
    place.step('migrate', asksFor('deploy'))
    place.step('restart', asksFor('deploy'))
    expect(await place.run(shell, idiom('section'))).toEqual({status: 0, stdout: '', stderr: ''})
    expect(place.ran).toEqual(['migrate', 'deploy: 75', 'restart', 'deploy: 75'])
    await place.isFree()
  })

  shells('ends with the status of the step that fails, and gives the lock back', async (shell, place) => {
    place.step('migrate', 'exit 3')
    place.step('restart')
    expect((await place.run(shell, idiom('section'))).status).toBe(3)
    expect(place.ran).toEqual(['migrate'])
    await place.isFree()
  })

  shells('gives the lock back when TERM ends it', async (shell, place) => {
    place.step('migrate', 'kill -TERM "$PPID"')
    place.step('restart')
    expect((await place.run(shell, idiom('section'))).status).toBe(143)
    expect(place.ran).toEqual(['migrate'])
    await place.isFree()
  })
})

describe('a section that cleans up', () => {
  shells('ends with 0 when all went well', async (shell, place) => {
    place.step('deploy', asksFor('deploy'))
    place.step('rollback')
    expect((await place.run(shell, idiom('finish'))).status).toBe(0)
    expect(place.ran).toEqual(['deploy', 'deploy: 75'])
    await place.isFree()
  })

  shells('cleans up after a failure while the lock is held', async (shell, place) => {
    place.step('deploy', 'exit 3')
    place.step('rollback', asksFor('deploy'))
    expect((await place.run(shell, idiom('finish'))).status).toBe(3)
    expect(place.ran).toEqual(['deploy', 'rollback', 'deploy: 75'])
    await place.isFree()
  })

  shells('cleans up when the network is cut, and ends with 79', async (shell, place) => {
    await using link = await TcpProxy.to(etcd)
    place.step('deploy', 'exec sleep 60')
    place.step('rollback')
    // TERM after 3.9 s, KILL 1.8 s later: time for a slow machine to start leash once more.
    const script = place.start(shell, idiom('finish'), {LEASH_ENDPOINTS: link.url, LEASH_TTL: '6s'})
    await until('the step to run', () => place.ran.length === 1, {
      withinMs: 20_000,
      detail: () => script.describe(),
    })
    link.blackhole()
    const {status, stderr} = await script.end()
    expect(place.ran).toEqual(['deploy', 'rollback'])
    expect(stderr).toMatch(/leash: deploy: the lock had already ended/)
    expect(status).toBe(79)
    removeHandlesAt(link.url)
  })
})

describe('a section that does not wait', () => {
  shells('ends with 0 and does nothing while another holds the lock', async (shell, place) => {
    place.step('deploy')
    await using holder = new Leash(['run', '-l', 'deploy', '--', 'sh', '-c', 'echo holds; read line'], {
      env: place.env,
    })
    await holder.says(/holds/)
    const [fence] = await place.fences('deploy')
    expect(await place.run(shell, idiom('busy'))).toEqual({status: 0, stdout: '', stderr: ''})
    expect(place.ran).toEqual([])
    expect(await place.fences('deploy')).toEqual([fence])
  })

  shells('works when the lock is free, and says 69 when nobody knows', async (shell, place) => {
    place.step('deploy', asksFor('deploy'))
    expect((await place.run(shell, idiom('busy'))).status).toBe(0)
    expect(place.ran).toEqual(['deploy', 'deploy: 75'])
    await place.isFree()
    expect((await place.run(shell, idiom('busy'), await nobodyListens())).status).toBe(69)
    expect(place.ran).toHaveLength(2)
  })

  shells('does not wait for itself when it starts itself', async (shell, place) => {
    const words = [`'${path.join(shellPrograms, shell.words[0])}'`, ...shell.words.slice(1)]
    place.step('deploy', `${words.join(' ')} script; echo "again: $?" >>ran`)
    expect((await place.run(shell, idiom('section').replaceAll(/migrate|restart/g, 'deploy'))).status).toBe(0)
    expect(place.ran).toEqual(['deploy', 'again: 75', 'deploy', 'again: 75'])
  })
})

describe('steps without a keeper', () => {
  shells('hold the lock, and not after', async (shell, place) => {
    place.step('migrate', asksFor('deploy'))
    place.step('restart', asksFor('deploy'))
    expect((await place.run(shell, idiom('steps'))).status).toBe(0)
    expect(place.ran).toEqual(['migrate', 'deploy: 75', 'restart', 'deploy: 75'])
    await place.isFree()
  })

  shells('stop with 79 when the lock was lost in between', async (shell, place) => {
    place.step('migrate', takesAway())
    place.step('restart')
    expect((await place.run(shell, idiom('steps'))).status).toBe(79)
    expect(place.ran).toEqual(['migrate'])
  })

  shells('end with 79 when the lock was lost in the last one', async (shell, place) => {
    place.step('migrate')
    place.step('restart', takesAway())
    expect((await place.run(shell, idiom('steps'))).status).toBe(79)
    expect(place.ran).toEqual(['migrate', 'restart'])
  })
})

describe.each(['export', 'eval'])('what "%s" evaluates', (name) => {
  shells('is the fencing token of the ticket, and the lock is given back', async (shell, place) => {
    place.step('deploy', 'leash check --json >checked && cp "$LEASH_HANDLE" handle')
    const {status, stderr} = await place.run(shell, idiom(name))
    expect({status, stderr}).toEqual({status: 0, stderr: ''})
    const {locks} = handleAt(place.file('handle'))
    expect(place.ran).toEqual([`deploy --fence ${locks[0]?.createRevision}`])
    await place.isFree()
  })

  shells('ends the script with the status of leash', async (shell, place) => {
    place.step('deploy')
    expect((await place.run(shell, idiom(name), await nobodyListens())).status).toBe(69)
    expect(place.ran).toEqual([])
  })

  shells('ends the script when leash is killed or not there', async (shell, place) => {
    place.step('deploy')
    const outer = {LEASH_HANDLE: '/the/outer/one'}
    place.step('lost/leash', 'kill -KILL $$')
    const killed = await place.run(shell, idiom(name), {
      ...outer,
      PATH: `${place.file('lost')}:/usr/bin:/bin`,
    })
    expect(killed.status).not.toBe(0)
    expect(place.ran).toEqual([expect.stringMatching(/^leash acquire deploy /)])
    const missing = await place.run(shell, idiom(name), {...outer, PATH: '/usr/bin:/bin'})
    expect(missing.status).not.toBe(0)
    expect(place.ran).toHaveLength(1)
  })
})

describe('several locks', () => {
  shells('are held together, each with its own fencing token', async (shell, place) => {
    place.step('deploy', asksFor('app'))
    place.step('migrate', `${asksFor('db')}; cp "$LEASH_HANDLE" handle`)
    const {status, stderr} = await place.run(shell, idiom('several'))
    expect({status, stderr}).toEqual({status: 0, stderr: ''})
    const {locks} = handleAt(place.file('handle'))
    const fence = (lock: string) => locks.find(({name}) => name === lock)?.createRevision
    expect(place.ran).toEqual([
      `deploy --fence ${fence('app')}`,
      'app: 75',
      `migrate --fence ${fence('db')}`,
      'db: 75',
    ])
    await place.isFree()
  })
})

describe('a child script', () => {
  shells('runs under the lock of its parent only', async (shell, place) => {
    place.step('restart')
    const alone = await place.run(shell, idiom('child'))
    expect(alone.status).not.toBe(0)
    expect(alone.stderr).toContain('start me from the script that holds the lock')
    const {stdout} = await leash(['acquire', 'deploy', '--ttl', '60s'], {env: place.env})
    const LEASH_HANDLE = stdout.trim()
    expect((await place.run(shell, idiom('child'), {LEASH_HANDLE})).status).toBe(0)
    expect(place.ran).toEqual(['restart'])
    expect((await leash(['release', '--handle', LEASH_HANDLE], {env: place.env})).status).toBe(0)
    expect((await place.run(shell, idiom('child'), {LEASH_HANDLE})).status).toBe(1)
    expect(place.ran).toEqual(['restart'])
  })
})

describe('a function', () => {
  shells('holds the lock until it ends, for its own shell', async (shell, place) => {
    place.step('migrate', `${asksFor('deploy')}; cp "$LEASH_HANDLE" handle; echo "$PPID" >parent`)
    place.step('announce', asksFor('deploy'))
    const script = place.start(shell, idiom('function'))
    expect((await script.end()).status).toBe(0)
    expect(place.ran).toEqual(['migrate', 'deploy: 75', 'announce', 'deploy: 0'])
    const {keeps} = keeperAt(place.file('handle'))
    expect(keeps.pid).toBe(Number(readFileSync(place.file('parent'), 'utf8')))
    expect(keeps.pid).not.toBe(script.pid)
    await place.isFree()
  })

  shells('returns the status of the step that fails', async (shell, place) => {
    place.step('migrate', 'exit 3')
    place.step('announce')
    expect((await place.run(shell, idiom('function'))).status).toBe(3)
    expect(place.ran).toEqual(['migrate'])
    await place.isFree()
  })
})

test('every block of the docs is run', () => {
  expect(idioms.untested).toEqual([])
})
