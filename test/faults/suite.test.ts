import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {etcdctlProgram} from '../support/EtcdServer.ts'
import {leash} from '../support/Job.ts'
import type {Fault} from './Fault.ts'
import {type Plan, type Row, runFault} from './runFault.ts'
import {Floor, verdictWithSecondChance} from './secondChance.ts'
import {run, type Tool} from './tools.ts'
import type {Verdict} from './verdict.ts'

const tool = (...program: readonly string[]): Tool => ({...run, program})
const careless = tool('sh', path.join(import.meta.dirname, 'careless.sh'), etcdctlProgram('3.5'))

/** A copy is not in the table, and hence gets the simplest child. */
const copyOf = (name: string): Fault => {
  const fault = run.faults.find((row) => row.name === name)
  if (!fault) throw new Error('the fault has another name')
  return {...fault}
}
const small = {rounds: 1, jobs: 1, ttlMs: 2000}

const verdictOn = async (name: string): Promise<Verdict> =>
  (await runFault(copyOf(name), {...small, tool: careless})).verdict

/** The suite must fail where it should: with a tool that keeps a lock, but does not keep its job on a leash. */
describe.concurrent('of a careless tool the suite', () => {
  test('sees two trees at once, a lost job that runs on, a status that hides it, and what is left behind', async () => {
    const {overlaps, wrongStatuses, leftovers, problems} = await verdictOn('network black-holed both ways')
    expect(overlaps).toBe(1)
    expect(wrongStatuses).toBeGreaterThan(0)
    expect(leftovers).toBe(3)
    const text = problems.join('\n')
    expect(text).toMatch(/the holder was not ended[^]*OVERLAP of [\d.]+ ms/)
    expect(text).toMatch(/left after 3000 ms: fault\/0\/stray\n[^]*left after 3000 ms: lease \w+, lease \w+$/)
  })

  test('sees a job that a killed tool leaves behind, and that it does not say what contained it', async () => {
    const {overlaps, killToEmptyMs, tiers, problems} = await verdictOn('leash killed')
    expect(overlaps).toBe(1)
    expect(killToEmptyMs).toEqual([])
    expect(tiers).toEqual({cgroup: 0, session: 0})
    const text = problems.join('\n')
    expect(text).toMatch(/the holder was not ended[^]*the end of the holder's ticket is in time, not at once/)
    expect(text).toMatch(/what contained the waiter's job is undefined, not (cgroup|session)/)
  })

  test('sees a job that a frozen tool keeps running', async () => {
    const {overlaps, wrongStatuses, problems} = await verdictOn('leash frozen')
    expect(overlaps).toBe(1)
    expect(wrongStatuses).toBeGreaterThan(0)
    expect(problems.join('\n')).toMatch(/the holder was not ended/)
  })
})

/** leash, but for the status it ends with, if its command line is like this. */
const wrongIf = (pattern: string): Tool =>
  tool('sh', '-c', `case "$*" in ${pattern}) "$0" "$@"; exit 3 ;; *) exec "$0" "$@" ;; esac`, ...leash())

describe.concurrent('a second chance', () => {
  /** The verdict, and how often the fault struck. */
  const judged = async (tool: Tool): Promise<[Verdict, number]> => {
    let struck = 0
    const plan = {...small, tool, onStory: () => struck++}
    const strike = (plan: Plan): Promise<Row> => runFault(copyOf('lease revoked from outside'), plan)
    const verdict = await verdictWithSecondChance(strike, plan, new Floor())
    return [verdict, struck]
  }

  test('excuses what goes wrong with a short TTL only', async () => {
    const [{problems}, struck] = await judged(wrongIf('*2000ms*'))
    expect({problems, struck}).toEqual({problems: [], struck: 2})
  })

  test('does not excuse what goes wrong again', async () => {
    const [{problems}, struck] = await judged(wrongIf('*'))
    expect(struck).toBe(2)
    expect(problems.join('\n')).toMatch(/status is 3, not 79[^]*TTL 6000 ms:[^]*status is 3, not 79/)
  })

  test('is not given to two trees at once, nor to what leaves something behind', async () => {
    const [{overlaps, leftovers, problems}, struck] = await judged(careless)
    expect({overlaps, leftovers, struck}).toEqual({overlaps: 1, leftovers: 3, struck: 1})
    expect(problems.join('\n')).toMatch(/OVERLAP of/)
  })

  test('is taken alone', async () => {
    const floor = new Floor()
    const seen: string[] = []
    let open = (): void => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const work = (name: string, until?: Promise<void>) => async (): Promise<void> => {
      seen.push(`${name} comes`)
      await until
      seen.push(`${name} goes`)
    }
    const one = floor.together(work('one', gate))
    await floor.together(work('other'))
    const others = [floor.alone(work('solo')), floor.alone(work('second solo')), floor.together(work('late'))]
    await new Promise(setImmediate)
    expect(seen).toEqual(['one comes', 'other comes', 'other goes'])
    open()
    await Promise.all([one, ...others])
    expect(seen.slice(3)).toEqual([
      'one goes',
      ...['solo comes', 'solo goes', 'second solo comes', 'second solo goes', 'late comes', 'late goes'],
    ])
  })
})
