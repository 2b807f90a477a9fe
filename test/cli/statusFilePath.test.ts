import {existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {GrpcProxy} from '../support/GrpcProxy.ts'
import {StatusFile} from './support/StatusFile.ts'
import {type Ended, Leash, leash} from './support/leash.ts'

let etcd: EtcdServer
let env: Record<string, string>
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
  env = {LEASH_ENDPOINTS: etcd.url}
})
afterAll(() => etcd[Symbol.asyncDispose]())

let status: StatusFile
let directory: string
let file: string
beforeEach(() => {
  status = new StatusFile()
  directory = status.directory
  file = status.path
})
afterEach(() => status[Symbol.dispose]())

const run = (...args: string[]): Promise<Ended> => leash(status.runs(...args), {env})

describe('the file', () => {
  test('is readable by all and writable by its owner, whatever the old one was', async () => {
    writeFileSync(file, 'old', {mode: 0o600})
    await leash(status.runs('true'), {env, through: ['sh', '-c', 'umask 022; exec "$@"', 'sh']})
    expect(statSync(file).mode & 0o777).toBe(0o644)
    expect(status.report()).toMatchObject({outcome: 'ended'})
  })

  test('of an earlier run is gone before the job starts', async () => {
    writeFileSync(file, 'old')
    const {stdout} = await run('sh', '-c', `[ -e '${file}' ] && echo there || echo gone`)
    expect(stdout).toBe('gone\n')
  })

  test('of an earlier run is gone when leash was killed', async () => {
    writeFileSync(file, 'old')
    await using killed = new Leash(
      ['run', '-l', 'killed', '--status-file', file, '--', 'sh', '-c', 'echo runs; read line'],
      {env},
    )
    await killed.says(/runs/)
    await killed.killHard()
    expect(existsSync(file)).toBe(false)
  })

  test('does not change when the run is only explained', async () => {
    writeFileSync(file, 'old')
    expect((await run('--explain', 'true')).status).toBe(0)
    expect(readFileSync(file, 'utf8')).toBe('old')
  })

  test('is written beside the working directory of leash, if its path is relative', async () => {
    await leash(['run', '-l', 'x', '--status-file', 'status.json', '--', 'sh', '-c', 'cd /; exit 5'], {
      env,
      cwd: directory,
    })
    expect(status.report()).toMatchObject({code: 5})
  })

  test('is not written through a link that waits for it', async () => {
    const victim = path.join(directory, 'victim')
    writeFileSync(victim, 'untouched')
    // The name that the unfinished file gets is known only when leash runs: the job is its child.
    const end = await run('sh', '-c', `ln -s '${victim}' "${file}.$PPID.tmp"`)
    expect(end.status).toBe(0)
    expect(readFileSync(victim, 'utf8')).toBe('untouched')
    rmSync(victim)
    expect(status.report()).toMatchObject({outcome: 'ended'})
  })

  test('that cannot be written at the end costs a line, and not the status', async () => {
    const away = path.join(directory, 'away')
    mkdirSync(away)
    const {status, stderr} = await leash(
      [
        'run',
        '-l',
        'x',
        '--status-file',
        path.join(away, 'status.json'),
        'sh',
        '-c',
        `rmdir '${away}'; exit 5`,
      ],
      {env},
    )
    expect(status).toBe(5)
    expect(stderr).toMatch(
      /^leash: x: the status file could not be written \(.*ENOENT.*\); make room for .*\n$/,
    )
  })
})

describe('a path that cannot be a status file is refused before etcd is asked anything', () => {
  test.each<[string, () => string, string]>([
    ['empty', () => '', 'the path is empty'],
    ['in no directory', () => path.join(directory, 'none/status.json'), 'ENOENT'],
    ['below a file', () => '/etc/passwd/status.json', 'EACCES'],
    ['a directory', () => directory, 'it is no regular file'],
    ['a device', () => '/dev/null', 'it is no regular file'],
    [
      'a link',
      () => {
        symlinkSync('/dev/null', path.join(directory, 'link'))
        return path.join(directory, 'link')
      },
      'it is no regular file',
    ],
  ])('%s', async (_, make, reason) => {
    await using proxy = await GrpcProxy.to(etcd)
    const target = make()
    const {status, stdout, stderr} = await leash([
      'run',
      '-l',
      'x',
      '--endpoints',
      proxy.url,
      '--status-file',
      target,
      'true',
    ])
    expect({status, stdout}).toEqual({status: 64, stdout: ''})
    expect(stderr).toBe(
      `leash: x: the status file ${JSON.stringify(target)} cannot be written: ${reason}; give the path of a file in a directory that exists and that you can write to\n`,
    )
    expect(proxy.methods).toEqual([])
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true)
  })
})
