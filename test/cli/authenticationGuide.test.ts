import {execFileSync} from 'node:child_process'
import {mkdirSync, readFileSync, rmSync} from 'node:fs'
import path from 'node:path'
import {expect, test} from 'vitest'
import {EtcdServer, etcdctlProgram, type EtcdVersion} from '../support/EtcdServer.ts'
import {scratchDirectory} from '../support/scratch.ts'
import {leash} from './support/leash.ts'

const guide = readFileSync(path.resolve(import.meta.dirname, '../../docs/etcd-authentication.md'), 'utf8')
const commands = [...guide.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block = '']) => block)

test.each<[EtcdVersion]>([['3.4'], ['3.5']])(
  'the commands of the guide do what it says, with etcd %s',
  async (version) => {
    const directory = scratchDirectory('guide')
    try {
      await using etcd = await EtcdServer.start({version})
      const etc = path.join(directory, 'etc')
      mkdirSync(etc)
      const PATH = `${path.dirname(etcdctlProgram(version))}:${process.env['PATH']}`
      const script = ['set -e', ...commands].join('\n').replaceAll('/etc/leash/', `${etc}/`)
      execFileSync('sh', ['-c', script], {
        cwd: directory,
        env: {PATH, ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: etcd.url},
      })
      const as = async (user: string, file: string, args: readonly string[]): Promise<[unknown, string]> => {
        const {status, stderr} = await leash(args, {
          env: {
            LEASH_ENDPOINTS: etcd.url,
            LEASH_INSECURE_TRANSPORT: 'true',
            LEASH_USER: user,
            LEASH_PASSWORD_FILE: path.join(etc, file),
          },
        })
        return [status, stderr]
      }
      const run = (user: string, file: string, lock: string): Promise<[unknown, string]> =>
        as(user, file, ['run', '-l', lock, 'true'])
      const campaign = (user: string, file: string, election: string): Promise<[unknown, string]> =>
        as(user, file, ['campaign', election, '--', 'true'])
      expect(await run('leash', 'password', 'any')).toEqual([0, ''])
      expect(await run('nightly', 'nightly-password', 'nightly')).toEqual([0, ''])
      const denied = [77, expect.stringContaining('denies')]
      expect(await run('nightly', 'nightly-password', 'any')).toEqual(denied)
      expect(await campaign('leash', 'password', 'any')).toEqual([0, ''])
      expect(await campaign('api', 'api-password', 'api')).toEqual([0, ''])
      expect(await campaign('api', 'api-password', 'any')).toEqual(denied)
    } finally {
      rmSync(directory, {recursive: true})
    }
  },
)
