import {afterAll, beforeAll, expect, test} from 'vitest'
import {EtcdServer} from '../support/EtcdServer.ts'
import {leash} from './support/leash.ts'

/*
 * What a process gets from its parent beside arguments, environment and stdio. Node takes or changes each of these
 * before our first line runs, so it needs a launcher in front of Node. `fails` says that it is not so yet.
 */

let etcd: EtcdServer
beforeAll(async () => {
  etcd = await EtcdServer.start({version: '3.4'})
})
afterAll(() => etcd[Symbol.asyncDispose]())

/** What the job prints when a shell that did `preparation` starts leash. */
const printed = async (preparation: string, ...job: string[]): Promise<string> => {
  const through = ['bash', '-c', `${preparation}; exec "$@"`, 'bash']
  return (await leash(['run', '-l', 'x', ...job], {env: {LEASH_ENDPOINTS: etcd.url}, through})).stdout
}

test.fails('the job has the descriptors above 2 that leash was given', async () => {
  expect(await printed('exec 3< <(echo hi)', 'sh', '-c', 'cat <&3')).toBe('hi\n')
})

test.fails('a signal that leash was told to ignore is ignored by the job, as nohup wants it', async () => {
  expect(await printed('trap "" HUP', 'sh', '-c', 'kill -HUP $$; echo lives')).toBe('lives\n')
})

test.fails('the job has the limit of open files that leash was given', async () => {
  expect(await printed('ulimit -Sn 300', 'sh', '-c', 'ulimit -Sn')).toBe('300\n')
})

test.fails('the job has the bytes of a variable that is not UTF-8', async () => {
  expect(await printed(String.raw`export NAME=$'caf\xe9'`, 'sh', '-c', 'printf %s "$NAME" | wc -c')).toBe(
    '4\n',
  )
})
