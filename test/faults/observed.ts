/**
 * npm run observed -- [--changes N] [--cuts N]
 *
 * For etcd 3.4 and 3.5: candidates come, proclaim and go, N changes (1000) in all, while the connections of a `leash observe`
 * are cut N times (20). What it printed is compared with what etcd told somebody else, whose connection was not cut. Ends with
 * 1 if a change was missed, repeated, out of order or made up.
 */
import {parseArgs} from 'node:util'
import {Leash} from '../cli/support/leash.ts'
import {Belongings} from '../support/Belongings.ts'
import {EtcdServer, type EtcdVersion} from '../support/EtcdServer.ts'
import {TcpProxy} from '../support/TcpProxy.ts'
import {type KeyEvent, deleteKey, put} from '../support/etcdGateway.ts'
import {TicketWatch} from '../support/leaseWatch.ts'
import {nowMs, pause, until} from '../support/wait.ts'

const prefix = 'leash/election/observed/'
/** An abandoned connection is noticed by the first reading that is not answered. */
const catchUpMs = 60_000

const {values} = parseArgs({
  options: {changes: {type: 'string', default: '1000'}, cuts: {type: 'string', default: '20'}},
})
for (const [name, value] of Object.entries(values)) {
  if (/^[1-9]\d*$/.test(value)) continue
  console.error(`observed: --${name} takes a whole number from 1 on, not ${value}`)
  process.exit(64)
}
const [changes, cuts] = [Number(values.changes), Number(values.cuts)]

/** A change as one line: its revision, what it is, the leader's key and value. */
type Line = string
const line = (revision: string, event: string, key = '', value = ''): Line =>
  [revision, event, key, value].join(' ').trim()
const revisionOf = (one: Line): bigint => BigInt(one.split(' ', 1)[0] ?? 0)

/** Makes changes of the leader, one by one, with whatever comes to mind: a sequence of its own in each run. */
class Candidates {
  readonly #url: string
  #queue: string[] = []
  #made = 0

  constructor(url: string) {
    this.#url = url
  }

  async change(): Promise<void> {
    const [leader, next] = this.#queue
    const value = `value ${++this.#made}`
    if (leader === undefined) return this.#join(value)
    const dice = Math.random()
    if (dice < 0.5) return put(this.#url, leader, value)
    // Waiters come and proclaim, too: no change for those who look.
    if (dice < 0.8 && next === undefined) await this.#join(`waits ${value}`)
    const waiter = this.#queue.at(-1)
    if (dice < 0.7 && waiter !== leader && waiter !== undefined)
      await put(this.#url, waiter, `still ${value}`)
    this.#queue.shift()
    await deleteKey(this.#url, leader)
  }

  async #join(value: string): Promise<void> {
    // Keys are no order: a later one may sort before.
    const key = `${prefix}${Math.random().toString(16).slice(2)}`
    this.#queue.push(key)
    await put(this.#url, key, value)
  }
}

/** The changes of the leader by the plainest rule: all tickets, sorted after each event. */
function changesIn(events: readonly KeyEvent[]): Line[] {
  let queue: KeyEvent[] = []
  const lines: Line[] = []
  for (const event of events) {
    const [before] = queue
    queue = queue.filter(({key}) => key !== event.key)
    if (event.type === 'PUT') queue.push(event)
    queue.sort((one, other) => Number(BigInt(one.createRevision) - BigInt(other.createRevision)))
    const [leader] = queue
    if (leader === before) continue
    const {modRevision: revision} = event
    if (leader === undefined) lines.push(line(revision, 'vacant'))
    else
      lines.push(
        line(revision, leader.key === before?.key ? 'proclaimed' : 'elected', leader.key, leader.value),
      )
  }
  return lines
}

interface Printed {
  event: string
  revision?: string
  key?: string
  value?: string
}

/** What an observer has printed, without what it says of itself. */
function printedBy({stdout}: Leash): Line[] {
  const news = stdout
    .slice(0, stdout.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((text) => text !== '')
    .map((text) => JSON.parse(text) as Printed)
  return news.flatMap(({event, revision, key, value}) =>
    revision === undefined ? [] : [line(revision, event, key, value)],
  )
}

/** The ways in which a connection is cut; some changes are made meanwhile. */
const cutWays: readonly ((link: TcpProxy, meanwhile: () => Promise<void>) => Promise<void>)[] = [
  async (link, meanwhile) => {
    link.dropConnections()
    await meanwhile()
  },
  async (link, meanwhile) => {
    link.reset()
    await meanwhile()
    await link.heal()
  },
  async (link, meanwhile) => {
    link.blackhole()
    await meanwhile()
    await pause(500)
    await link.heal('reset')
  },
  async (link, meanwhile) => {
    link.abandonConnections()
    await meanwhile()
  },
]

async function measure(version: EtcdVersion): Promise<boolean> {
  await using belongings = new Belongings()
  const etcd = belongings.add(await EtcdServer.start({version}))
  const link = belongings.add(await TcpProxy.to(etcd))
  const truth = belongings.add(await TicketWatch.on([etcd.url], prefix))
  const observer = belongings.add(new Leash(['observe', '--json', '--endpoints', link.url, 'observed']))
  await observer.says(/vacant.*\n/)
  const [start] = printedBy(observer)
  const candidates = new Candidates(etcd.url)
  const startedAtMs = nowMs()
  const caughtUp = (count: number): Promise<unknown> =>
    until(
      'the observer to catch up',
      () => truth.events.length >= count && printedBy(observer).at(-1) === changesIn(truth.events).at(-1),
      {
        ...{withinMs: catchUpMs, everyMs: 20},
        detail: () => `${observer.stdout.slice(-1000)}\n${observer.stderr}`,
      },
    ).catch((error: unknown) => console.error(String(error)))
  const perCut = Math.ceil(changes / cuts)
  let made = 0
  const change = async (count: number): Promise<void> => {
    for (let left = Math.min(count, changes - made); left > 0; left--) {
      await candidates.change()
      made++
    }
  }
  for (let cut = 0; cut < cuts; cut++) {
    const meanwhile = Math.ceil(perCut / 2)
    await change(perCut - meanwhile)
    await cutWays[cut % cutWays.length]?.(link, () => change(meanwhile))
    await caughtUp(made)
  }
  const expected = changesIn(truth.events)
  const printed = printedBy(observer).filter((one) => one !== start)
  const [expectedSet, printedSet] = [new Set(expected), new Set(printed)]
  const missed = expected.filter((one) => !printedSet.has(one)).length
  const repeated = printed.length - printedSet.size
  const outOfOrder = printed.filter(
    (one, index) => index > 0 && revisionOf(one) < revisionOf(printed[index - 1] ?? one),
  ).length
  const madeUp = [...printedSet].filter((one) => !expectedSet.has(one)).length
  console.log(
    `etcd ${version}: ${expected.length} changes, ${cuts} cuts in ${((nowMs() - startedAtMs) / 1000).toFixed(0)} s; ` +
      `missed: ${missed}; repeated: ${repeated}; out of order: ${outOfOrder}; made up: ${madeUp}`,
  )
  return expected.length === changes && missed + repeated + outOfOrder + madeUp === 0
}

const versions: readonly EtcdVersion[] = ['3.4', '3.5']
let isFlawless = true
for (const version of versions) isFlawless = (await measure(version)) && isFlawless
process.exitCode = isFlawless ? 0 : 1
