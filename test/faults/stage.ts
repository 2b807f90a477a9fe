import {Belongings} from '../support/Belongings.ts'
import {EngineProcess} from '../support/EngineProcess.ts'
import {EtcdCluster} from '../support/EtcdCluster.ts'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {keysUnder, leases} from '../support/etcdGateway.ts'
import {GrpcProxy, type Cut, type CutRequest} from '../support/GrpcProxy.ts'
import {LeaseLedger} from '../support/LeaseLedger.ts'
import {TicketWatch} from '../support/leaseWatch.ts'
import {TcpProxy} from '../support/TcpProxy.ts'

/** All keys of all rounds are below this; each round has its own prefix in it. */
export const rootPrefix = 'fault/'

export interface StageOptions {
  readonly members: 'one' | 'three'
  /** A version of etcd, or the local engine, of which there is one. */
  readonly server: EtcdVersion | 'local'
}

/** What the faults do to one member, whoever it is. Its URL is for `GrpcProxy` and etcdGateway.ts. */
type Member = Pick<EtcdServer & EngineProcess, 'url' | 'kill' | 'freeze' | 'thaw' | 'restart'>

const startOne = (server: StageOptions['server']): Promise<EtcdServer | EngineProcess> =>
  server === 'local' ? EngineProcess.start() : EtcdServer.start({version: server})

const startThree = (server: StageOptions['server']): Promise<EtcdCluster> => {
  if (server === 'local') throw new Error('there are no three members of the local engine')
  return EtcdCluster.start({version: server})
}

/** The etcd that some rounds share while one fault strikes, and the watch that sees when their tickets go. */
export class Stage implements AsyncDisposable {
  readonly members: readonly Member[]
  /** Only with three members. */
  readonly cluster: EtcdCluster | undefined
  readonly tickets: TicketWatch
  /** When each lease was last renewed, over whichever link. */
  readonly ledger = new LeaseLedger()
  readonly #belongings: Belongings

  private constructor(
    belongings: Belongings,
    members: readonly Member[],
    tickets: TicketWatch,
    cluster?: EtcdCluster,
  ) {
    this.#belongings = belongings
    this.members = members
    this.tickets = tickets
    this.cluster = cluster
  }

  static async set({members, server}: StageOptions): Promise<Stage> {
    const belongings = new Belongings()
    try {
      const cluster = members === 'three' ? belongings.add(await startThree(server)) : undefined
      const servers = cluster?.members ?? [belongings.add(await startOne(server))]
      const urls = servers.map(({url}) => url)
      const tickets = belongings.add(await TicketWatch.on(urls, rootPrefix))
      return new Stage(belongings, servers, tickets, cluster)
    } catch (error) {
      await belongings[Symbol.asyncDispose]()
      throw error
    }
  }

  /** The one member; the first of three. */
  get etcd(): Member {
    const [first] = this.members
    if (!first) throw new Error('a stage has a member')
    return first
  }

  async keys(prefix: string): Promise<string[]> {
    return (await this.#ask((url) => keysUnder(url, prefix))).map(({key}) => key)
  }

  leases(): Promise<string[]> {
    return this.#ask(leases)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#belongings[Symbol.asyncDispose]()
  }

  /** Whichever member answers first: one of them may be down. */
  #ask<T>(question: (url: string) => Promise<T>): Promise<T> {
    return Promise.any(this.members.map(({url}) => question(url)))
  }
}

/** One leash's own way to each member: a wire that can fail, then a relay that knows gRPC. */
export class Link implements AsyncDisposable {
  readonly #belongings: Belongings
  readonly #wires: readonly TcpProxy[]
  readonly #relays: readonly GrpcProxy[]

  private constructor(belongings: Belongings, relays: readonly GrpcProxy[], wires: readonly TcpProxy[]) {
    this.#belongings = belongings
    this.#relays = relays
    this.#wires = wires
  }

  static async to({members, ledger}: Stage): Promise<Link> {
    const belongings = new Belongings()
    const relays: GrpcProxy[] = []
    const wires: TcpProxy[] = []
    for (const member of members) {
      const relay = belongings.add(await GrpcProxy.to(member, {leases: ledger}))
      relays.push(relay)
      wires.push(belongings.add(await TcpProxy.to(relay)))
    }
    return new Link(belongings, relays, wires)
  }

  get endpoints(): string[] {
    return this.#wires.map(({url}) => url)
  }

  /** Does the same to the wires to all members, or to the first few: leash prefers them in this order. */
  async each(fail: (wire: TcpProxy) => void | Promise<void>, count = this.#wires.length): Promise<void> {
    for (const wire of this.#wires.slice(0, count)) await fail(wire)
  }

  /** Loses one answer on the way from the one member. */
  cutAfterCommit(request: CutRequest): Cut {
    const [relay] = this.#relays
    if (!relay) throw new Error('a link has a relay')
    return relay.cutAfterCommit(request)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#belongings[Symbol.asyncDispose]()
  }
}
