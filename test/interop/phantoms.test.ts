import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {deleteKey, revoke} from '../support/etcdGateway.ts'
import {Contender, queueOf, type Way, ways} from './Contender.ts'
import {hasTurn, leaseOf, startEtcdctl} from './Rival.ts'
import {standing} from './queue.ts'

/** Long enough for etcdctl to keep its lease while etcd starts anew. */
const ttlS = 20

/** How a waiter comes to have no ticket any more. */
interface Loss {
  readonly title: string
  readonly options?: readonly string[]
  readonly lose: (etcd: EtcdServer, waiter: Contender, key: string) => Promise<unknown>
}

const deleted: Loss = {
  title: 'its ticket was deleted',
  lose: ({url}, _, key) => deleteKey(url, key),
}
const revoked: Loss = {
  title: 'its lease was revoked',
  lose: ({url}, _, key) => revoke(url, leaseOf(key)),
}
const ranOut: Loss = {
  title: 'its lease ran out while it was frozen',
  options: ['--ttl', '3s'],
  lose: (etcd, waiter, key) => {
    waiter.freeze()
    return standing(etcd, key.slice(0, key.lastIndexOf('/')), 2)
  },
}
const restarted: Loss = {
  title: 'its lease was revoked, and etcd started anew',
  lose: async (etcd, waiter, key) => {
    await revoked.lose(etcd, waiter, key)
    await etcd.kill()
    await etcd.restart()
  },
}

/**
 * leash waits between two of etcdctl. When its predecessor goes, its own ticket has gone already: so it is not its turn, but
 * that of its successor.
 */
const hasNoTurn = async (etcd: EtcdServer, way: Way, name: string, {lose, options = []}: Loss) => {
  const queue = queueOf(way, name)
  await using before = await startEtcdctl(etcd, way.service, queue, ttlS)
  await hasTurn(before)
  await using ours = new Contender(etcd, way, name, ...options)
  await ours.waits()
  const lost = (await standing(etcd, queue, 2)).at(-1)?.key ?? ''
  await using after = await startEtcdctl(etcd, way.service, queue, ttlS)
  await standing(etcd, queue, 3)
  await lose(etcd, ours, lost)
  await before.release()
  await hasTurn(after)
  ours.thaw()
  await ours.queuedAgain()
  expect(ours.stdout).toBe('')
  const again = (await standing(etcd, queue, 2)).at(-1)?.key ?? ''
  expect(again).not.toBe(lost)
  await after.release()
  expect(await ours.turn()).toMatchObject({key: again, queue: [again]})
  ours.tellToEnd()
  expect((await ours.end()).status).toBe(ours.cleanStatus)
}

for (const version of ['3.4', '3.5'] satisfies EtcdVersion[]) {
  describe(`a waiter at etcd ${version} has no turn by a ticket that is gone, and queues again:`, () => {
    let etcd: EtcdServer
    beforeAll(async () => {
      etcd = await EtcdServer.start({version})
    })
    afterAll(() => etcd[Symbol.asyncDispose]())
    for (const [place, way] of ways.entries()) {
      for (const [cause, loss] of [deleted, revoked, ranOut].entries())
        test.concurrent(`${way.title}, when ${loss.title}`, () =>
          hasNoTurn(etcd, way, `waiter${place}-${cause}`, loss),
        )
      test.concurrent(`${way.title}, when ${restarted.title}`, async () => {
        await using ofItsOwn = await EtcdServer.start({version})
        await hasNoTurn(ofItsOwn, way, 'waiter', restarted)
      })
    }
  })
}
