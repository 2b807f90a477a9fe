import {describe, expect, test} from 'vitest'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {deleteKey, revoke} from '../support/etcdGateway.ts'
import {Contender, queueOf, ways} from './Contender.ts'
import {hasTurn, leaseOf, startEtcdctl} from './Rival.ts'
import {standing} from './queue.ts'

const name = 'api'

/** Long enough for etcdctl to keep its lease while etcd starts anew. */
const ttlS = 20

const deleteTicket = ({url}: EtcdServer, key: string): Promise<void> => deleteKey(url, key)
const revokeLease = ({url}: EtcdServer, key: string): Promise<void> => revoke(url, leaseOf(key))
const restart = async (etcd: EtcdServer): Promise<void> => {
  await etcd.kill()
  await etcd.restart()
}
const losses = [
  {loss: 'its ticket is deleted', lose: deleteTicket},
  {loss: 'its lease is revoked', lose: revokeLease},
  {
    loss: 'its lease is revoked, and etcd started anew',
    lose: async (etcd: EtcdServer, key: string) => {
      await revokeLease(etcd, key)
      await restart(etcd)
    },
  },
]
const cells = ways.flatMap((way) => losses.map((loss) => ({way, title: way.title, ...loss})))

// Between two of etcdctl: its predecessor goes when its own ticket has gone, and its successor has its turn.
describe.each<EtcdVersion>(['3.4', '3.5'])('a waiter in the queue of etcd %s', (version) => {
  test.concurrent.each(cells)(
    'of leash $title does not take the turn of a ticket that it has no more: $loss while it waits',
    async ({way, lose}) => {
      await using etcd = await EtcdServer.start({version})
      const queue = queueOf(way, name)
      await using before = await startEtcdctl(etcd, way.service, queue, ttlS)
      await hasTurn(before)
      await using ours = new Contender(etcd, way, name)
      await ours.waits()
      const lost = (await standing(etcd, queue, 2)).at(-1)?.key ?? ''
      await using after = await startEtcdctl(etcd, way.service, queue, ttlS)
      await standing(etcd, queue, 3)
      await lose(etcd, lost)
      await before.release()
      await hasTurn(after)
      await ours.queuedAgain()
      expect(ours.stdout).toBe('')
      const again = (await standing(etcd, queue, 2)).at(-1)?.key ?? ''
      expect(again).not.toBe(lost)
      await after.release()
      expect(await ours.turn()).toMatchObject({key: again, queue: [again]})
      ours.tellToEnd()
      expect((await ours.end()).status).toBe(ours.cleanStatus)
    },
  )

  test('does not take the turn of a lease that it could not renew for too long, though its ticket still stands', async () => {
    await using etcd = await EtcdServer.start({version})
    const [way] = ways.filter(({hasCommand}) => !hasCommand)
    if (way === undefined) throw new Error('there is no way without a command')
    const queue = queueOf(way, name)
    await using before = await startEtcdctl(etcd, way.service, queue, ttlS)
    await hasTurn(before)
    await using ours = new Contender(etcd, way, name, '--ttl', '3s')
    await ours.waits()
    const lost = (await standing(etcd, queue, 2)).at(-1)?.key ?? ''
    await etcd.kill()
    await ours.losesItsLease()
    await etcd.restart()
    await ours.queuedAgain()
    await before.release()
    const {key} = await ours.turn()
    expect(key).not.toBe(lost)
    ours.tellToEnd()
    expect((await ours.end()).status).toBe(ours.cleanStatus)
  })
})
