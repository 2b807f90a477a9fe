import {afterAll, beforeAll, expect, test} from 'vitest'
import {leaseIdFrom} from '../../src/lib/core/identifiers.ts'
import {acquire, type LockPorts, type LockRequest} from '../../src/lib/core/lock.ts'
import {inOrder, lockKeys} from '../../src/lib/core/lockName.ts'
import {EtcdStore} from '../../src/lib/etcd/etcdStore.ts'
import {systemClock} from '../../src/lib/systemClock.ts'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {keysUnder, leases} from '../support/etcdGateway.ts'

const rounds = 100
/** One turn of the others takes some milliseconds: who waits so long will wait for ever. */
const stuckMs = 20_000

const versions: readonly EtcdVersion[] = ['3.4', '3.5']
let servers: EtcdServer[] = []
beforeAll(async () => {
  servers = await Promise.all(versions.map((version) => EtcdServer.start({version})))
})
afterAll(() => Promise.all(servers.map((etcd) => etcd[Symbol.asyncDispose]())))

const request = (first: string, second: string): LockRequest => ({
  locks: inOrder([lockKeys('leash/', first), lockKeys('leash/', second)]),
  ttlMs: 30_000,
  terms: {lockDelayMs: 0},
  wait: {kind: 'upTo', ms: stuckMs},
  connectTimeoutMs: stuckMs,
  holder: {host: 'h', user: 'u', pid: 1},
})

/** Who holds which lock now, and the latest fencing token of each. */
class Witness {
  readonly #holders = new Map<string, string>()
  readonly #fences = new Map<string, bigint>()

  enter(name: string, who: string, fence: bigint): void {
    expect(this.#holders.get(name), `who holds ${name} when ${who} comes to hold it`).toBeUndefined()
    expect(fence).toBeGreaterThan(this.#fences.get(name) ?? 0n)
    this.#holders.set(name, who)
    this.#fences.set(name, fence)
  }

  leave(name: string): void {
    this.#holders.delete(name)
  }
}

test.each(versions.map((version, index) => [version, index] as const))(
  'clients that name two locks in different orders get them in turn, again and again (etcd %s)',
  async (_, index) => {
    const etcd = servers[index]
    if (etcd === undefined) throw new Error('no such etcd')
    const witness = new Witness()
    const takeTurns = async (first: string, second: string): Promise<void> => {
      const clock = systemClock()
      const store = new EtcdStore([etcd.url], clock)
      const newLeaseId: LockPorts['newLeaseId'] = () => leaseIdFrom(crypto.getRandomValues(new Uint8Array(8)))
      const ports: LockPorts = {store, clock, newLeaseId, tell: () => {}, showQueue: false}
      try {
        for (let round = 0; round < rounds; round++) {
          const acquisition = await acquire(request(first, second), ports, new AbortController().signal)
          if (acquisition.is !== 'held') throw new Error(`${first} ${second}: ${acquisition.is}`)
          const {lock} = acquisition
          lock.childStarted()
          for (const {keys, ticket} of lock.places)
            witness.enter(keys.name, `${first} ${second}`, ticket.createRevision)
          await new Promise(setImmediate)
          for (const {keys} of lock.places) witness.leave(keys.name)
          expect(await lock.release(true)).toBe('removed')
        }
      } finally {
        store.close()
      }
    }
    await Promise.all([takeTurns('a', 'b'), takeTurns('b', 'a'), takeTurns('c', 'b')])
    expect(await keysUnder(etcd.url, '')).toEqual([])
    expect(await leases(etcd.url)).toEqual([])
  },
)
