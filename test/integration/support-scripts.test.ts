/** The scripts that set up what tests need, each in a copy of its own with stand-ins for the programs it calls. */
import {execFile, spawn} from 'node:child_process'
import {once} from 'node:events'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import path from 'node:path'
import {promisify} from 'node:util'
import {afterEach, beforeEach, describe, expect, test} from 'vitest'
import {status} from '../support/etcdGateway.ts'
import {processesMarked} from '../support/processes.ts'
import {until} from '../support/wait.ts'

const repository = path.resolve(import.meta.dirname, '../..')
const run = promisify(execFile)
let home: string
beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'leash-scripts-'))
})
afterEach(() => rmSync(home, {recursive: true}))
const stub = (name: string, script: string): void => {
  const file = path.join(home, 'bin', name)
  writeFileSync(file, `#!/bin/sh\n${script}\n`)
  chmodSync(file, 0o755)
}

describe('etcd-setup', () => {
  const etcdOf = (version: string) => `echo "etcd Version: ${version}.9"`
  const etcdctlOf = (version: string) => `echo "etcdctl version: ${version}.9"`
  const setUp = (...versions: string[]) =>
    run(path.join(home, 'repo/scripts/etcd-setup'), versions, {env: {PATH: `${home}/bin:/usr/bin:/bin`}})
  const inStore = (name: string) => path.join(home, 'repo/.cache/etcd', name)

  beforeEach(() => {
    for (const directory of ['bin', 'repo/scripts', 'apt/parts'])
      mkdirSync(path.join(home, directory), {recursive: true})
    copyFileSync(path.join(repository, 'scripts/etcd-setup'), path.join(home, 'repo/scripts/etcd-setup'))
    // None on PATH, and an apt whose sources are ours and which hands out an etcd of the release asked for.
    stub('etcd', 'exit 1')
    stub('etcdctl', 'exit 1')
    stub('apt-config', `echo "list='${home}/apt/sources.list' parts='${home}/apt/parts'"`)
    stub('apt-get', `cp sources.list ${home}/asked; case "$*" in *download*) : >etcd.deb ;; esac`)
    stub(
      'dpkg',
      `mkdir -p "$3/usr/bin"; version=3.4; grep -q trixie ${home}/asked && version=3.5
       printf '#!/bin/sh\\n%s\\n' "echo etcd Version: $version.1" >"$3/usr/bin/etcd"
       printf '#!/bin/sh\\n%s\\n' "echo etcdctl version: $version.1" >"$3/usr/bin/etcdctl"
       chmod +x "$3"/usr/bin/*`,
    )
  })
  const own = /VERSION_CODENAME=(\w+)/.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? ''

  test.each([
    [
      'one line',
      'apt/sources.list',
      `deb-src http://wrong.test/ ${own} main\ndeb http://right.test/debian ${own} main contrib\n`,
      '',
    ],
    [
      'one line with options',
      'apt/parts/debian.list',
      `# deb http://wrong.test/ ${own} main\ndeb [ arch=amd64 signed-by=/k.gpg ] http://right.test/debian ${own} main\n`,
      '[signed-by=/k.gpg] ',
    ],
    [
      'deb822',
      'apt/parts/debian.sources',
      `Types: deb\nURIs: http://wrong.test/\nSuites: ${own}-security\n\nEnabled: no\nTypes: deb\nURIs: http://wrong.test/\nSuites: ${own}\n\n` +
        `Types: deb-src deb\n# a comment\nURIs: http://right.test/debian\nSuites: ${own}-updates ${own}\nComponents: main\nSigned-By: /k.gpg\n`,
      '[signed-by=/k.gpg] ',
    ],
  ])('takes the mirror from the sources of the machine: %s', async (_, file, content, options) => {
    writeFileSync(path.join(home, file), content)
    const {stderr} = await setUp('3.5')
    expect(stderr).toBe("etcd-setup: getting etcd 3.5 from this machine's Debian mirror, release trixie\n")
    expect(readFileSync(path.join(home, 'asked'), 'utf8')).toBe(
      `deb ${options}http://right.test/debian trixie main\n`,
    )
    expect((await run(inStore('3.5/etcd'))).stdout).toBe('etcd Version: 3.5.1\n')
    expect(readdirSync(inStore(''))).toEqual(['3.5'])
  })

  test('is silent and asks nobody when all is there', async () => {
    writeFileSync(path.join(home, 'apt/sources.list'), `deb http://right.test/debian ${own} main\n`)
    await setUp()
    stub('apt-get', 'exit 1')
    expect(await setUp()).toEqual({stdout: '', stderr: ''})
  })

  test('links what is on PATH, if both programs are of the version', async () => {
    stub('etcd', etcdOf('3.4'))
    stub('etcdctl', etcdctlOf('3.4'))
    expect((await setUp('3.4')).stderr).toBe('')
    expect((await run(inStore('3.4/etcdctl'))).stdout).toBe('etcdctl version: 3.4.9\n')
    expect(existsSync(path.join(home, 'asked'))).toBe(false)
  })

  test('replaces what has become another version', async () => {
    writeFileSync(path.join(home, 'apt/sources.list'), `deb http://right.test/debian ${own} main\n`)
    stub('etcd', etcdOf('3.4'))
    stub('etcdctl', etcdctlOf('3.4'))
    await setUp('3.4')
    stub('etcd', etcdOf('3.6'))
    await setUp('3.4')
    expect((await run(inStore('3.4/etcd'))).stdout).toBe('etcd Version: 3.4.1\n')
  })

  test.each([
    [
      'no source carries the own release',
      () => {},
      /name no mirror for its own release .*put etcd and etcdctl 3\.5 into \.cache\/etcd\/3\.5\//s,
    ],
    [
      'apt fails',
      () => {
        writeFileSync(path.join(home, 'apt/sources.list'), `deb http://right.test/debian ${own} main\n`)
        stub('apt-get', 'echo "no route" >&2; exit 100')
      },
      /no route\n.*apt could not get etcd-server and etcd-client of trixie/s,
    ],
  ])('says what is missing when %s', async (_, arrange, complaint) => {
    arrange()
    await expect(setUp('3.5')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(complaint) as string,
    })
    expect(existsSync(inStore('3.5'))).toBe(false)
    expect(existsSync(inStore('')) ? readdirSync(inStore('')) : []).toEqual([])
  })
})

describe('debian-setup', () => {
  const setUp = (set = 'systemd') =>
    run(path.join(home, 'repo/scripts/debian-setup'), [set], {env: {PATH: `${home}/bin:/usr/bin:/bin`}})
  const store = () => path.join(home, 'repo/.cache/systemd')
  const programs = ['systemd-notify', 'systemd-analyze']

  beforeEach(() => {
    for (const directory of ['bin', 'repo/scripts']) mkdirSync(path.join(home, directory), {recursive: true})
    copyFileSync(path.join(repository, 'scripts/debian-setup'), path.join(home, 'repo/scripts/debian-setup'))
    for (const name of programs) stub(name, 'exit 1')
    // An apt that brings one package, and a dpkg that unpacks programs which name the libraries they are given.
    stub(
      'apt-get',
      `case "$*" in *install*--download-only*' systemd') for word; do case $word in Dir::Cache=*) : >"\${word#*=}/archives/it.deb" ;; esac; done ;; esac`,
    )
    stub(
      'dpkg',
      `mkdir -p "$3/bin" "$3/usr/bin" "$3/usr/lib/here/systemd"; : >"$3/usr/lib/here/systemd/libit.so.1"
       for program in bin/systemd-notify usr/bin/systemd-analyze; do
         printf '#!/bin/sh\\necho "$LD_LIBRARY_PATH $*"\\n' >"$3/$program"; chmod +x "$3/$program"
       done`,
    )
  })

  test('unpacks what apt brings, and runs it with the libraries that came along', async () => {
    const {stderr} = await setUp()
    expect(stderr).toBe("debian-setup: getting systemd from this machine's apt sources\n")
    for (const name of programs) {
      const {stdout} = await run(path.join(store(), 'bin', name), ['a b'])
      expect(stdout).toBe(`${store()}/unpacked/./usr/lib/here/systemd a b\n`)
    }
    expect(readdirSync(path.join(home, 'repo/.cache'))).toEqual(['systemd'])
    expect(readdirSync(store()).toSorted()).toEqual(['bin', 'unpacked'])
  })

  test('is silent and asks nobody when all is there', async () => {
    await setUp()
    stub('apt-get', 'exit 1')
    expect(await setUp()).toEqual({stdout: '', stderr: ''})
  })

  test('links what is on PATH', async () => {
    for (const name of programs) stub(name, 'echo on PATH')
    expect((await setUp()).stderr).toBe('')
    expect((await run(path.join(store(), 'bin/systemd-notify'))).stdout).toBe('on PATH\n')
    expect(readdirSync(store())).toEqual(['bin'])
  })

  test('gets only what is not on PATH', async () => {
    for (const name of ['bash', 'dash', 'busybox', 'jq']) stub(name, 'echo on PATH')
    stub('zsh', 'exit 1')
    stub(
      'apt-get',
      `case "$*" in *install*--download-only*' zsh') for word; do case $word in Dir::Cache=*) : >"\${word#*=}/archives/it.deb" ;; esac; done ;; esac`,
    )
    stub(
      'dpkg',
      `mkdir -p "$3/bin"; printf '#!/bin/sh\necho unpacked\n' >"$3/bin/zsh"; chmod +x "$3/bin/zsh"`,
    )
    const {stderr} = await setUp('shells')
    expect(stderr).toBe("debian-setup: getting zsh from this machine's apt sources\n")
    const saysOf = async (name: string) =>
      (await run(path.join(home, 'repo/.cache/shells/bin', name), ['-c', ':'])).stdout
    expect(await saysOf('zsh')).toBe('unpacked\n')
    expect(await saysOf('bash')).toBe('on PATH\n')
  })

  test('knows what it can set up', async () => {
    await expect(setUp('other')).rejects.toMatchObject({
      code: 1,
      stderr: 'debian-setup: unknown set other; known are systemd and shells\n',
    })
  })

  test.each([
    ['apt fails', 'apt-get', 'echo "no route" >&2; exit 100', /no route\n.*apt could not get systemd/s],
    ['what it brings does not run', 'dpkg', 'mkdir -p "$3"', /what apt brought does not run/],
  ])('says what to do when %s, and leaves nothing half made', async (_, name, script, complaint) => {
    stub(name, script)
    const wayOut = /put systemd-notify systemd-analyze into \.cache\/systemd\/bin\/\n$/
    await expect(setUp()).rejects.toMatchObject({code: 1, stderr: expect.stringMatching(complaint) as string})
    await expect(setUp()).rejects.toMatchObject({stderr: expect.stringMatching(wayOut) as string})
    expect(readdirSync(path.join(home, 'repo/.cache'))).toEqual([])
  })
})

describe('with-etcd', () => {
  const script = path.join(repository, 'scripts/with-etcd')
  const marked = () => ({...process.env, TMPDIR: home, WITH_ETCD_TEST: home})
  /** etcd, the keeper and the directory: gone, soon after the command. */
  const cleanedUp = () =>
    until(
      'all to be cleaned up',
      () => processesMarked(`WITH_ETCD_TEST=${home}`).length === 0 && readdirSync(home).length === 0,
      {
        withinMs: 3000,
        detail: () => JSON.stringify([processesMarked(`WITH_ETCD_TEST=${home}`), readdirSync(home)]),
      },
    )

  test('runs a command beside an etcd, with its own stdin, stdout and status', async () => {
    const child = spawn(script, ['sh', '-c', 'cat; echo "$LEASH_ENDPOINTS"; exit 7'], {env: marked()})
    child.stdin.end('from stdin\n')
    let out = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
    expect(await once(child, 'close')).toEqual([7, null])
    expect(out).toMatch(/^from stdin\nhttp:\/\/127\.0\.0\.1:\d+\n$/)
    await cleanedUp()
  })

  test.each(['SIGTERM', 'SIGKILL'] as const)('ends etcd when the command ends by %s', async (signal) => {
    const child = spawn(script, ['sh', '-c', 'echo "$LEASH_ENDPOINTS"; exec sleep 60'], {env: marked()})
    const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string]
    expect((await status(line.trim())).leader).not.toBe('0')
    child.kill(signal)
    expect(await once(child, 'exit')).toEqual([null, signal])
    await cleanedUp()
  })

  test('says why etcd did not start', async () => {
    const bin = path.join(home, 'bin')
    mkdirSync(bin)
    symlinkSync('/bin/false', path.join(bin, 'etcd'))
    const env = {...marked(), PATH: `${bin}:${process.env['PATH']}`, TMPDIR: bin}
    await expect(run(script, ['true'], {env})).rejects.toMatchObject({
      code: 69,
      stderr: expect.stringMatching(/etcd did not start/) as string,
    })
    await until('the keeper to end', () => processesMarked(`WITH_ETCD_TEST=${home}`).length === 0, {
      withinMs: 3000,
    })
    expect(readdirSync(bin)).toEqual(['etcd'])
  })

  test('says how it is used', async () => {
    await expect(run(script)).rejects.toMatchObject({
      code: 64,
      stderr: 'usage: scripts/with-etcd COMMAND [ARGUMENT...]\n',
    })
  })
})
