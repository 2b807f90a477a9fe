import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {describe, expect, test} from 'vitest'
import {asAnotherUser, isRoot} from './support/anotherUser.ts'
import {leash} from './support/leash.ts'

/* Wrong input to the commands around handles: nothing is touched, and no etcd is asked. */

const env = {LEASH_ENDPOINTS: 'http://127.0.0.1:1'}

describe('one sentence and 64', () => {
  test.each<[string[], string]>([
    [['acquire'], 'there is no lock to take; name it: leash acquire NAME --keep $$'],
    [
      ['acquire', 'x'],
      'x: a lock that nobody renews needs a life that somebody has chosen; choose one with --ttl, or have it renewed with --keep $$',
    ],
    [
      ['acquire', 'x', '--ttl', '5s', '--grace', '1s'],
      'x: --grace is for what a keeper ends; give --keep, too, or leave it out',
    ],
    [
      ['acquire', 'x', '--ttl', '5s', '-s', 'INT'],
      'x: --signal is for what a keeper ends; give --keep, too, or leave it out',
    ],
    [
      ['acquire', 'x', '--keep', '0'],
      'x: --keep "0" is no process number; give the number of a running process of yours: $$ in a shell',
    ],
    [
      ['acquire', 'x', '--keep', ''],
      'x: --keep "" is no process number; give the number of a running process of yours: $$ in a shell',
    ],
    [
      ['acquire', 'x', '--keep', '1'],
      'x: --keep "1" is the first process, which cannot be ended; start the script below an init: docker run --init',
    ],
    [
      ['acquire', 'x', '--keep', '4194305'],
      'x: --keep "4194305" is no running process; give the number of a running process of yours: $$ in a shell',
    ],
    [
      ['renew', 'x'],
      'renew goes by a handle, not by a name such as "x": another script of yours may hold that lock; set LEASH_HANDLE, or give --handle PATH',
    ],
    [
      ['release', 'x'],
      'release goes by a handle, not by a name such as "x": another script of yours may hold that lock; set LEASH_HANDLE, or give --handle PATH',
    ],
    [
      ['check', 'x'],
      'check goes by a handle, not by a name such as "x": another script of yours may hold that lock; set LEASH_HANDLE, or give --handle PATH',
    ],
    [
      ['renew'],
      'no handle is given; set LEASH_HANDLE to what leash acquire, or leash campaign --keep, has printed, or give --handle PATH',
    ],
    [
      ['release', '--handle', ''],
      'the handle is empty; set LEASH_HANDLE to what leash acquire, or leash campaign --keep, has printed, or give --handle PATH',
    ],
    [
      ['check', '--handle', '/nowhere/h'],
      'there is no handle at "/nowhere/h"; take the lock with leash acquire, and name the handle that it says',
    ],
    [
      ['release', '--handle', '/'],
      'the handle "/" is no regular file; take the lock with leash acquire, and name the handle that it says',
    ],
    [['check', '--for', 'soon'], '--for "soon"'],
    [['keep'], 'descriptor 3 is no socket; leave this command to leash'],
  ])('%j', async (args, says) => {
    const {status, stdout, stderr} = await leash(args, {env})
    expect({status, stdout}).toEqual({status: 64, stdout: ''})
    expect(stderr.startsWith(`leash: ${says}`), stderr).toBe(true)
    expect(stderr.split('\n')).toHaveLength(2)
  })

  test.each(['--ttl', '--prefix', '-w', '--keep'])(
    'for %s to a command that goes by a handle',
    async (option) => {
      expect((await leash(['release', option, '5s'], {env})).status).toBe(64)
    },
  )

  test('for an empty LEASH_HANDLE', async () => {
    const {status, stderr} = await leash(['release'], {env: {LEASH_HANDLE: ''}})
    expect(status).toBe(64)
    expect(stderr).toContain('the handle is empty')
  })

  test.skipIf(!isRoot)("for another user's process", async () => {
    const {status, stderr} = await leash(['acquire', 'x', '--keep', String(process.pid)], {
      env: {...env, HOME: '/nowhere'},
      through: [...asAnotherUser],
    })
    expect(status).toBe(64)
    expect(stderr).toContain(`--keep "${process.pid}" is another user's process`)
  })

  test('for a process that has ended, and nobody has asked how', async () => {
    const child = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'])
    try {
      const [output] = (await once(child.stdout, 'data')) as [Buffer]
      const {status, stderr} = await leash(['acquire', 'x', '--keep', output.toString().trim()], {env})
      expect(status).toBe(64)
      expect(stderr).toContain('is no running process')
    } finally {
      child.kill('SIGKILL')
    }
  })
})

test('a missing name is what is said, also where nothing is configured', async () => {
  const {status, stderr} = await leash(['acquire', '--keep', '1'], {env: {LEASH_TTL: 'soon'}})
  expect({status, stderr}).toEqual({
    status: 64,
    stderr: 'leash: there is no lock to take; name it: leash acquire NAME --keep $$\n',
  })
})

test.each(['acquire', 'renew', 'release', 'check'])('the help of %s fits on a screen', async (command) => {
  const {status, stdout} = await leash([command, '--help'])
  expect(status).toBe(0)
  expect(stdout.split('\n').length).toBeLessThan(50)
})

test('no help speaks of keep', async () => {
  expect((await leash(['--help'])).stdout).not.toMatch(/^\s+keep\b/m)
})
