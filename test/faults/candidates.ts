/** Candidates that queue one by one, and leaders that are killed one by one. */
import {Leash} from '../cli/support/leash.ts'
import {Belongings} from '../support/Belongings.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {TicketWatch} from '../support/leaseWatch.ts'
import {until} from '../support/wait.ts'
import {leftAt} from './leftovers.ts'

const election = 'succession'
const ttlMs = 5000
/** etcd looks for leases that have run out twice a second, and the next leader settles for half a second. */
const nextWithinMs = 4 * ttlMs

export interface Succession {
  /** Who said that it leads, in this order, by its number in the order of arrival. */
  readonly led: readonly string[]
  /** The same by an observer. */
  readonly observed: readonly string[]
  /** Who said that it leads while another one did that was alive, or before the ticket of another one was gone that came earlier. */
  readonly besides: readonly string[]
  /** Keys and leases. */
  readonly left: readonly string[]
}

interface Candidate {
  readonly value: string
  readonly leash: Leash
  /** Of its ticket. */
  readonly key: string
  killed: boolean
}

const leads = ({leash, killed}: Candidate): boolean => !killed && leash.stdout.startsWith('elected ')

/** Kills the leader so many times, and each time another candidate joins at the end. */
export const succession = async (count: number, kills: number): Promise<Succession> => {
  await using belongings = new Belongings()
  const etcd = belongings.add(await EtcdServer.start())
  const tickets = belongings.add(await TicketWatch.on([etcd.url], `leash/election/${election}/`))
  const env = {LEASH_ENDPOINTS: etcd.url}
  const observer = belongings.add(new Leash(['observe', '--json', election], {env}))
  await observer.says(/"vacant".*\n/)
  const candidates: Candidate[] = []
  const besides: string[] = []

  const join = async (): Promise<void> => {
    const value = String(candidates.length + 1)
    const args = ['campaign', election, '--value', value, '--ttl', `${ttlMs}ms`]
    const leash = belongings.add(new Leash(args, {env}))
    const {key} = await tickets.created((ticket) => ticket.value === value, nextWithinMs)
    candidates.push({value, leash, key, killed: false})
  }
  const nextLeader = async (): Promise<Candidate> => {
    const next = await until('somebody to lead', () => candidates.find(leads), {
      ...{withinMs: nextWithinMs, everyMs: 5},
      detail: () => candidates.map(({value, leash}) => `${value}: ${leash.describe()}`).join('\n'),
    })
    // Those before it are gone for as long as it has settled.
    const before = candidates.slice(0, candidates.indexOf(next))
    noteBesides(
      next,
      before.filter(({key}) => tickets.deletedAtMs(key) === undefined),
    )
    return next
  }
  const noteBesides = ({value}: Candidate, others: readonly Candidate[]): void =>
    void besides.push(...others.map((other) => `${value} beside ${other.value}`))

  for (let value = 0; value < count; value++) await join()
  const led: string[] = []
  for (let killsLeft = kills; ; killsLeft--) {
    const leader = await nextLeader()
    led.push(leader.value)
    if (killsLeft === 0) break
    noteBesides(
      leader,
      candidates.filter((one) => one !== leader && leads(one)),
    )
    leader.leash.kill('SIGKILL')
    leader.killed = true
    await join()
  }
  // What it does not print in time is missing in its account.
  await until('the observer to catch up', () => electedBy(observer).at(-1) === led.at(-1), {
    withinMs: nextWithinMs,
  }).catch(() => {})
  const observed = electedBy(observer)
  // The last ones first: nobody else gets to lead.
  for (const {leash, killed} of candidates.toReversed()) {
    if (killed) continue
    leash.kill('SIGTERM')
    await leash.end()
  }
  return {led, observed, besides, left: await leftAt(etcd, 2 * ttlMs)}
}

/** Each change of the leader that it has printed. */
const electedBy = ({stdout}: Leash): string[] =>
  stdout
    .slice(0, stdout.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as {event: string; value?: string})
    .flatMap(({event, value}) => (event === 'elected' && value !== undefined ? [value] : []))
