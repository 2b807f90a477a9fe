/** What must hold for leash and another program that want the same, whichever of them comes first and however it ends. */
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {leash} from '../cli/support/leash.ts'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {keysUnder, leases, revoke} from '../support/etcdGateway.ts'
import {isAlive} from '../support/processes.ts'
import {until} from '../support/wait.ts'
import {Contender, queueOf, type Way, ways} from './Contender.ts'
import {hasTurn, leaseOf, type Rival, type StartRival} from './Rival.ts'
import {standing} from './queue.ts'

const ends = ['ends', 'is killed', 'has its lease revoked'] as const
type End = (typeof ends)[number]

const rows = ways.flatMap((way) => ends.map((end) => ({way, end})))

/** One of each queue: what a waiter leaves behind depends on nothing else. */
const onePerService = ways.filter(({title}) => title === 'run' || title === 'campaign -- COMMAND')

/** Of one etcd, a row for each way of leash and each end of the first, in both orders. */
export const describeExclusion = (version: EtcdVersion, start: StartRival): void => {
  describe(`of etcd ${version}`, () => {
    let etcd: EtcdServer
    let names = 100
    beforeAll(async () => {
      etcd = await EtcdServer.start({version})
    })
    afterAll(() => etcd[Symbol.asyncDispose]())

    /** Neither ticket nor mark of this name is there, nor who it was, nor its lease. */
    const nothingOfOurs = async (name: string, key: string): Promise<void> => {
      const lease = leaseOf(key)
      const left = async (): Promise<string[]> => {
        const keys = (await keysUnder(etcd.url, '')).map((one) => one.key)
        return [
          ...keys.filter((one) => one.includes(`/${name}`) || one.endsWith(lease)),
          ...(await leases(etcd.url)).filter((one) => one === lease),
        ]
      }
      let seen: string[] = []
      const isNothing = async (): Promise<boolean> => (seen = await left()).length === 0
      await until('nothing of leash to be left', isNothing, {withinMs: 10_000, detail: () => seen.join('\n')})
    }

    /** Somebody of ours, after whom no mark is left of one who has vanished. */
    const nextOfOurs = async ({words}: Way, name: string): Promise<void> => {
      expect(await leash([...words, name, '--endpoints', etcd.url, '--', 'true'])).toMatchObject({status: 0})
    }

    for (const {way, end} of rows) {
      test.concurrent(`leash ${way.title} waits for it, and has its turn when it ${end}`, async () => {
        const name = `case${names++}`
        const queue = queueOf(way, name)
        await using rival = await start(etcd, way.service, queue)
        await hasTurn(rival)
        const [first] = await standing(etcd, queue, 1)
        await using ours = new Contender(etcd, way, name)
        await ours.waits()
        expect(ours.stdout).toBe('')
        await endRival(etcd, rival, first?.key ?? '', end)
        const {key, queue: seen} = await ours.turn()
        expect(seen).toEqual([key])
        ours.tellToEnd()
        expect((await ours.end()).status).toBe(ours.cleanStatus)
        await nothingOfOurs(name, key)
      })

      test.concurrent(`it waits for leash ${way.title}, and has its turn when that ${end}`, async () => {
        const name = `case${names++}`
        const queue = queueOf(way, name)
        const isLeftToRun = end === 'is killed' && !way.hasCommand
        await using ours = new Contender(etcd, way, name, ...(isLeftToRun ? ['--ttl', '3s'] : []))
        const {key, pid} = await ours.turn()
        await using rival = await start(etcd, way.service, queue)
        await standing(etcd, queue, 2)
        expect(rival.hasIt).toBe(false)
        await endOurs(etcd, ours, key, end)
        await hasTurn(rival)
        // A lease that is revoked is gone before its holder can know.
        if (pid !== undefined && end !== 'has its lease revoked') expect(isAlive(pid)).toBe(false)
        expect((await standing(etcd, queue, 1)).map((ticket) => ticket.key)).not.toContain(key)
        if (end !== 'is killed')
          expect((await ours.end()).status).toBe(end === 'ends' ? ours.cleanStatus : 79)
        if (end === 'ends' && way.hasCommand) expect(ours.queueAtEnd).toContain(key)
        await rival.release()
        if (end === 'has its lease revoked' || isLeftToRun) await nextOfOurs(way, name)
        await nothingOfOurs(name, key)
      })
    }

    for (const way of onePerService) {
      test.concurrent(`leash ${way.title} that is killed while it waits keeps nobody waiting`, async () => {
        const name = `case${names++}`
        const queue = queueOf(way, name)
        await using first = await start(etcd, way.service, queue)
        await hasTurn(first)
        await using ours = new Contender(etcd, way, name, '--ttl', '3s')
        await ours.waits()
        const key = (await standing(etcd, queue, 2)).at(-1)?.key ?? ''
        await using last = await start(etcd, way.service, queue)
        await standing(etcd, queue, 3)
        await ours.crash()
        await first.release()
        await hasTurn(last)
        expect(ours.stdout).toBe('')
        await last.release()
        await nothingOfOurs(name, key)
      })

      test.concurrent(
        `it keeps leash ${way.title} waiting no longer when it is killed while it waits`,
        async () => {
          const name = `case${names++}`
          const queue = queueOf(way, name)
          await using first = new Contender(etcd, way, name)
          await first.turn()
          await using rival = await start(etcd, way.service, queue)
          await standing(etcd, queue, 2)
          await using last = new Contender(etcd, way, name)
          await last.waits()
          await rival.crash()
          expect(last.stdout).toBe('')
          first.tellToEnd()
          const {key, queue: seen} = await last.turn()
          expect(seen).toEqual([key])
          last.tellToEnd()
          expect((await last.end()).status).toBe(last.cleanStatus)
          await nothingOfOurs(name, key)
        },
      )
    }
  })
}

async function endRival(etcd: EtcdServer, rival: Rival, key: string, end: End): Promise<void> {
  if (end === 'ends') await rival.release()
  else if (end === 'is killed') await rival.crash()
  else await revoke(etcd.url, leaseOf(key))
}

async function endOurs(etcd: EtcdServer, ours: Contender, key: string, end: End): Promise<void> {
  if (end === 'ends') ours.tellToEnd()
  else if (end === 'is killed') await ours.crash()
  else await revoke(etcd.url, leaseOf(key))
}
