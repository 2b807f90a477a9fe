import {afterAll, beforeAll, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {keysUnder} from '../support/etcdGateway.ts'
import {until} from '../support/wait.ts'
import {Leash, fixture} from './support/leash.ts'

let etcd: EtcdServer
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
})
afterAll(() => etcd[Symbol.asyncDispose]())

test('a bug in leash takes the job with it, is told in one line, and leaves the lock to the guard', async () => {
  // Something is thrown where nobody catches it, when the test says so.
  const env = {LEASH_ENDPOINTS: etcd.url, NODE_OPTIONS: `--require ${fixture('throwOnWinch.cjs')}`}
  await using run = new Leash(['run', '-l', 'x', '--', 'sh', '-c', 'trap "" TERM; echo runs; read line'], {
    env,
  })
  await run.says(/runs/)
  run.kill('SIGWINCH')
  expect(await run.end()).toEqual({
    status: 70,
    stdout: 'runs\n',
    stderr: 'leash: this is a bug in leash: unforeseen; please report it\n',
  })
  await until('the job to be gone', () => run.processes().length === 0, {withinMs: 5000})
  await until('the lock to be free', async () => (await keysUnder(etcd.url, '')).length === 0, {
    withinMs: 5000,
  })
})
