import type {EtcdServer} from '../support/EtcdServer.ts'
import {keysUnder, revoke} from '../support/etcdGateway.ts'
import {until} from '../support/wait.ts'
import {EtcdctlProcess} from './EtcdctlProcess.ts'

export type Service = 'lock' | 'election'

/** What rivals propose in an election. */
export const proposal = 'theirs'

/** Another program that wants a lock or a leadership, and keeps it until it is ended. `await using` kills it. */
export interface Rival extends AsyncDisposable {
  /** It was told that the lock or the leadership is its own. */
  readonly hasIt: boolean
  /** Its clean end: it gives back what it has. */
  release(): Promise<void>
  /** Its death: its lease is left to run out. */
  crash(): Promise<void>
}

/** How a rival is started, for what Go's client calls `name`. Resolves before it has its turn. */
export type StartRival = (etcd: EtcdServer, service: Service, name: string) => Promise<Rival>

/** Resolves when the lock or the leadership is its own. */
export const hasTurn = (rival: Rival): Promise<unknown> =>
  until('the other program to have its turn', () => rival.hasIt, {withinMs: 20_000})

/** The lease at the end of a ticket's key, in hex. */
export const leaseOf = (key: string): string => key.slice(key.lastIndexOf('/') + 1)

/** `etcdctl lock`, with this TTL, or `etcdctl elect`, which has one of 60 s and no option for it. */
export const startEtcdctl = (etcd: EtcdServer, service: Service, name: string, ttlS = 3): Promise<Rival> => {
  const words = {lock: ['lock', '--ttl', String(ttlS), name], election: ['elect', name, proposal]}
  const process = new EtcdctlProcess(etcd, ...words[service])
  return Promise.resolve({
    get hasIt() {
      return process.output.includes('\n')
    },
    release: () => process.interrupt(),
    crash: async () => {
      await process.killHard()
      if (service === 'lock') return
      // What its expiry would do in a minute, a revoke does now.
      for (const {key, value} of await keysUnder(etcd.url, `${name}/`))
        if (value === proposal) await revoke(etcd.url, leaseOf(key))
    },
    [Symbol.asyncDispose]: () => process.killHard(),
  })
}
