import {spawnSync} from 'node:child_process'
import {writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {LaunchProbe, type Said} from '../../support/LaunchProbe.ts'

/*
 * takeInheritance in processes of its own: behind the launcher, and behind shells that write its note themselves. What the
 * launcher notes is in test/cli/launcher.test.ts.
 */

const ownProcesses = ['unshare', '--pid', '--fork', '--mount-proc']
const canUnshare = spawnSync('unshare', [...ownProcesses.slice(1), 'true']).status === 0

let probe: LaunchProbe
beforeAll(async () => {
  probe = await LaunchProbe.make()
})
afterAll(() => probe?.[Symbol.dispose]())

/** In a note, `$stat` is the process's own /proc/PID/stat. HUP is ignored, and there is a pipe at 8 and a file at 9. */
const saysWithNote = (note: string, exec = 'exec "$@"'): Promise<Said> =>
  probe.says([process.execPath, probe.launcher], {
    before: `
      trap '' HUP; trap : QUIT
      exec 8< <(:) 9</dev/null
      read -r stat </proc/self/stat
      export LEASH_LAUNCH="${note}" SEEN=1
      ${exec}`,
  })

const nothing = {ignoredSignals: [], descriptors: [], rawEnv: {}}
const onlySignals = {ignoredSignals: [1], descriptors: [], rawEnv: {}}

describe('a note', () => {
  test.each(['', ' ', 'x', '1 9', '1 9 x', '1 9 1 (init) S 0', '0  1 ${stat#* }'])(
    '%j is not about this process, and nothing of it is believed',
    async (note) => {
      const said = await saysWithNote(note)
      expect(said).toMatchObject(nothing)
      expect(said.openNow).toEqual(expect.arrayContaining([8, 9]))
      expect(said.env).toMatchObject({SEEN: '1'})
    },
  )

  test.each([
    ['is none', '0  $stat'],
    ['is not there', '4194304 8 $stat'],
    ['is no number', 'x y $stat'],
    ['has something else at this number', '1 8 $stat'],
    ['is the process itself', '$$ 8 $stat'],
  ])('whose witness %s is believed as to ignored signals', async (_, note) => {
    const said = await saysWithNote(note)
    expect(said).toMatchObject(onlySignals)
    expect(said.openNow).toEqual(expect.arrayContaining([8, 9]))
    expect(said.env).toMatchObject({SEEN: '1'})
  })

  // The shell stays, and has the same descriptors as what it starts.
  test.each([
    ['a descriptor that is no pipe', 9],
    ['a standard stream', 0],
  ])('cannot make it close %s', async (_, descriptor) => {
    const child = '(read -r stat </proc/self/stat; LEASH_LAUNCH="$$ $descriptor $stat" exec "$@"); exit'
    const said = await saysWithNote('', `exec < <(:); descriptor=${descriptor}; ${child}`)
    expect(said).toMatchObject(onlySignals)
    expect(said.openNow).toContain(descriptor)
  })

  test('is not handed on', async () => {
    const said = await saysWithNote('0  $stat')
    expect(said.env).not.toHaveProperty('LEASH_LAUNCH')
    expect(said.variables).not.toContain('LEASH_LAUNCH')
  })
})

describe('behind the launcher', () => {
  const launched = {before: "trap '' HUP; exec 3</dev/null 5</dev/null"}

  test('a witness that was killed leaves what Node has left', async () => {
    const between = 'kill -9 ${LEASH_LAUNCH%% *}; while [ -e /proc/${LEASH_LAUNCH%% *}/fd/0 ]; do :; done'
    const said = await probe.says([probe.launcher], {...launched, between, env: {SEEN: '1'}})
    expect(said).toMatchObject({...onlySignals, env: {SEEN: '1'}})
  })

  test.skipIf(!canUnshare)('so does one that is killed while it is asked, and not buried', async () => {
    const killer = path.join(probe.root, 'killer.cjs')
    writeFileSync(
      killer,
      `const fs = require('node:fs')
      const {readFileSync} = fs
      fs.readFileSync = (file, ...more) => {
        const [, pid] = /^.proc.(\\d+).environ$/.exec(file) ?? []
        if (pid === undefined) return readFileSync(file, ...more)
        const opened = fs.openSync(file)
        process.kill(Number(pid), 'SIGKILL')
        while (fs.existsSync('/proc/' + pid + '/fd/0'));
        return readFileSync(opened, ...more)
      }`,
    )
    const env = {SEEN: '1', NODE_OPTIONS: `--require "${killer}"`}
    // As in a container whose first process waits for nobody but its own child.
    const before = `${launched.before}; set -- ${ownProcesses.join(' ')} perl -e 'exit(system({$ARGV[0]} @ARGV) >> 8)' "$@"`
    expect(await probe.says([probe.launcher], {before, env})).toMatchObject({...onlySignals, env})
  })

  test('a descriptor that was closed or replaced before Node is not listed', async () => {
    const {descriptors, openNow} = await probe.says([probe.launcher], {...launched, between: 'exec 5<"$0"'})
    expect(descriptors).toContain(3)
    expect(descriptors).not.toContain(5)
    expect(openNow).toContain(5)
  })
})

test('a variable that is not UTF-8 and has no identifier as its name is text, with U+FFFD', async () => {
  const {env, rawEnv} = await probe.says([probe.launcher], {
    before: String.raw`set -- env a.b=$'caf\xe9' "$@"`,
  })
  expect(env['a.b']).toBe('caf\ufffd')
  expect(rawEnv).toEqual({})
})

test('a variable called __proto__ is one like others', async () => {
  expect(Object.keys((await probe.says([probe.launcher], {before: 'export __proto__=1'})).env)).toContain(
    '__proto__',
  )
})
