import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {Leash, leash} from '../cli/support/leash.ts'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {keysUnder, leases} from '../support/etcdGateway.ts'
import {until} from '../support/wait.ts'
import {EtcdctlLock} from './EtcdctlLock.ts'

/** How the lock is called on both sides. */
const names = [
  {title: 'a lock of leash', leashOptions: ['-l', 'night/ly'], etcdctlName: 'leash/lock/night%2Fly'},
  {title: "another program's lock", leashOptions: ['--raw-key', '-l', '/my/app'], etcdctlName: '/my/app'},
]

describe.each<EtcdVersion>(['3.4', '3.5'])('etcdctl lock of etcd %s', (version) => {
  let etcd: EtcdServer
  beforeAll(async () => {
    etcd = await EtcdServer.start({version})
  })
  afterAll(() => etcd[Symbol.asyncDispose]())

  describe.each(names)('$title', ({leashOptions, etcdctlName}) => {
    const leashArguments = (...command: string[]): string[] => [
      'run',
      ...['--endpoints', etcd.url, '--ttl', '2s'],
      ...leashOptions,
      ...command,
    ]
    const holdingLeash = async (): Promise<Leash> => {
      const holder = new Leash(leashArguments('sh', '-c', 'echo held; read line'))
      await holder.says(/held/)
      return holder
    }
    const queueOf = async (length: number): Promise<void> => {
      await until(
        `${length} to stand in the queue`,
        async () => (await keysUnder(etcd.url, `${etcdctlName}/`)).length === length,
        {withinMs: 10_000},
      )
    }
    const nothingOfOurs = async (): Promise<void> => {
      expect(await keysUnder(etcd.url, '')).toEqual([])
    }

    test('leash waits for etcdctl, and gets the lock when that ends', async () => {
      await using holder = await EtcdctlLock.holding(etcd, etcdctlName)
      await using waiter = new Leash(leashArguments('echo', 'mine'))
      await queueOf(2)
      expect(waiter.stdout).toBe('')
      await holder.release()
      expect(await waiter.end()).toEqual({status: 0, stdout: 'mine\n', stderr: ''})
      await nothingOfOurs()
    })

    test('leash waits for etcdctl, and gets the lock when that was killed and its lease ran out', async () => {
      await using holder = await EtcdctlLock.holding(etcd, etcdctlName)
      await using waiter = new Leash(leashArguments('echo', 'mine'))
      await queueOf(2)
      await holder.killHard()
      expect(await waiter.end()).toEqual({status: 0, stdout: 'mine\n', stderr: ''})
      await nothingOfOurs()
    })

    test('etcdctl waits for leash, and gets the lock when that ends', async () => {
      await using holder = await holdingLeash()
      await using waiter = new EtcdctlLock(etcd, etcdctlName)
      await queueOf(2)
      expect(waiter.hasLock).toBe(false)
      holder.endInput()
      await holder.end()
      await waiter.locked()
      await waiter.release()
      await nothingOfOurs()
    })

    test('etcdctl waits for leash, and gets the lock from its guard when that was killed', async () => {
      await using holder = await holdingLeash()
      await using waiter = new EtcdctlLock(etcd, etcdctlName)
      await queueOf(2)
      await holder.killHard()
      await waiter.locked()
      await waiter.release()
      // A clean end leaves no mark: nobody has vanished.
      await using next = new Leash(leashArguments('-v', 'echo', 'mine'))
      const {status, stderr} = await next.end()
      expect(status).toBe(0)
      expect(stderr).not.toContain('the last holder vanished')
      await nothingOfOurs()
    })

    test('leash -n does not wait for etcdctl, and leaves no trace', async () => {
      await using holder = await EtcdctlLock.holding(etcd, etcdctlName)
      const before = {keys: await keysUnder(etcd.url, ''), leases: await leases(etcd.url)}
      expect(await leash(leashArguments('-n', 'echo', 'never'))).toEqual({status: 75, stdout: '', stderr: ''})
      expect({keys: await keysUnder(etcd.url, ''), leases: await leases(etcd.url)}).toEqual(before)
      await holder.release()
    })

    test('leash says that another program holds it, with its key', async () => {
      await using holder = await EtcdctlLock.holding(etcd, etcdctlName)
      const {stderr} = await leash(leashArguments('-n', '-v', 'true'))
      expect(stderr).toContain(`held by another program (${holder.key}); wait for it with -w\n`)
      await holder.release()
    })
  })
})
