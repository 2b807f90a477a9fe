import {Belongings} from '../support/Belongings.ts'
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
  readonly version: EtcdVersion
}

/** The etcd that some rounds share while one fault strikes, and the watch that sees when their tickets go. */
export class Stage implements AsyncDisposable {
  readonly members: readonly EtcdServer[]
  /** Only with three members. */
  readonly cluster: EtcdCluster | undefined
  readonly tickets: TicketWatch
  /** When each lease was last renewed, over whichever link. */
  readonly ledger = new LeaseLedger()
  readonly #belongings: Belongings

  private constructor(
    belongings: Belongings,
    members: readonly EtcdServer[],
    tickets: TicketWatch,
    cluster?: EtcdCluster,
  ) {
    this.#belongings = belongings
    this.members = members
    this.tickets = tickets
    this.cluster = cluster
  }

  static async set({members, version}: StageOptions): Promise<Stage> {
    const belongings = new Belongings()
    try {
      const cluster = members === 'three' ? belongings.add(await EtcdCluster.start({version})) : undefined
      const servers = cluster?.members ?? [belongings.add(await EtcdServer.start({version}))]
      const urls = servers.map(({url}) => url)
      const tickets = belongings.add(await TicketWatch.on(urls, rootPrefix))
      return new Stage(belongings, servers, tickets, cluster)
    } catch (error) {
      await belongings[Symbol.asyncDispose]()
      throw error
    }
  }

  /** The one member; the first of three. */
  get etcd(): EtcdServer {
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
