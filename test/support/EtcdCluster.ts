import {status, type MemberStatus} from './etcdGateway.ts'
import {EtcdServer, type EtcdOptions} from './EtcdServer.ts'
import {freePorts} from './scratch.ts'
import {until} from './wait.ts'

const size = 3
const electionMs = 15_000

/** Three members of one cluster on loopback. `await using` kills them and removes their data. */
export class EtcdCluster implements AsyncDisposable {
  readonly members: readonly EtcdServer[]

  private constructor(members: readonly EtcdServer[]) {
    this.members = members
  }

  /** Starts three members and waits until all answer. Begins again, on other ports, when one was taken. */
  static async start(options: Pick<EtcdOptions, 'version' | 'flags'> = {}): Promise<EtcdCluster> {
    for (let triesLeft = 3; ; triesLeft--) {
      const cluster = await EtcdCluster.#launch(options)
      try {
        await Promise.all(cluster.members.map((member) => member.ready()))
        await cluster.leader()
        return cluster
      } catch (error) {
        await cluster[Symbol.asyncDispose]()
        if (triesLeft === 1) throw error
      }
    }
  }

  static async #launch(options: Pick<EtcdOptions, 'version' | 'flags'>): Promise<EtcdCluster> {
    const ports = await freePorts(2 * size)
    const places = Array.from({length: size}, (_, index) => {
      const [client = 0, peer = 0] = ports.slice(2 * index)
      return {name: `m${index + 1}`, ports: [client, peer] as const}
    })
    const initialCluster = places
      .map(({name, ports: [, peer]}) => `${name}=http://127.0.0.1:${peer}`)
      .join(',')
    return new EtcdCluster(
      await Promise.all(places.map((place) => EtcdServer.launch({...options, ...place, initialCluster}))),
    )
  }

  get urls(): string[] {
    return this.members.map(({url}) => url)
  }

  /**
   * The member that most members call their leader, itself among them. Waits for an election, with a bound. A
   * member that is known to be frozen or otherwise not meant is excluded by `except`: the others may name it for
   * an election timeout more.
   */
  async leader(except?: EtcdServer): Promise<EtcdServer> {
    let seen: (MemberStatus | undefined)[] = []
    const asked = this.members.filter((member) => member !== except)
    return until(
      'a leader',
      async () => {
        seen = await Promise.all(asked.map((member) => status(member.url, 500).catch(() => undefined)))
        return asked.find((_, index) => {
          const own = seen[index]?.member
          return own !== undefined && seen.filter((one) => one?.leader === own).length > size / 2
        })
      },
      {withinMs: electionMs, everyMs: 20, detail: () => `the members say: ${JSON.stringify(seen)}`},
    )
  }

  async followers(): Promise<EtcdServer[]> {
    const leader = await this.leader()
    return this.members.filter((member) => member !== leader)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map((member) => member[Symbol.asyncDispose]()))
  }
}
