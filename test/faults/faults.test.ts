import {describe, expect, test} from 'vitest'
import {answerFaults} from './answerFaults.ts'
import {etcdFaults} from './etcdFaults.ts'
import type {Fault} from './Fault.ts'
import {localTtlMs, possibleLocalFaults} from './localEngineFaults.ts'
import {type Plan, runFault} from './runFault.ts'
import {runLocalFault} from './runLocalFault.ts'
import {Floor, verdictWithSecondChance} from './secondChance.ts'
import {acquire, campaign, check, faultsOn, run, shared, slots, type Tool} from './tools.ts'

/** Of what strikes all tools alike: an end in time, and a lease that is renewed. */
const enough = ['network black-holed both ways', 'connections silently dead, new ones work']
/**
 * What could be otherwise for a candidate, whose ticket stands in another queue and has its metadata beside it, and for who holds
 * beside others, each with a mark of its own: also who ends it cleanly.
 */
const ofOtherKinds = [...enough, 'leash killed', 'leash killed while it waits']
const isNew = (fault: Fault, ...seen: readonly Tool[]): boolean =>
  enough.includes(fault.name) || !seen.some(({faults}) => faults.some(({name}) => name === fault.name))

/**
 * What could be otherwise with the local engine: its own end and stand-still, leases, watches and answers of its own; and how
 * a lost lease expires there.
 */
const ofEngine = (fault: Fault): boolean =>
  [...etcdFaults, ...answerFaults].includes(fault) || fault.name === 'network black-holed both ways'

const onEtcd = [
  ...run.faults.map((fault) => [run, fault] as const),
  ...[campaign, shared, slots].flatMap((tool) =>
    tool.faults.filter(({name}) => ofOtherKinds.includes(name)).map((fault) => [tool, fault] as const),
  ),
  ...acquire.faults.filter((fault) => isNew(fault, run)).map((fault) => [acquire, fault] as const),
  ...check.faults.filter((fault) => isNew(fault, run, acquire)).map((fault) => [check, fault] as const),
].map(([tool, fault]) => [`${tool.name}: ${fault.name}`, tool, fault, 'etcd'] as const)

const onLocalEngine = faultsOn('local', run)
  .filter(ofEngine)
  .map((fault) => [`${run.name}, local: ${fault.name}`, run, fault, 'local'] as const)

/** With an engine of its own that leash starts. */
const ofLocalRun = possibleLocalFaults.map((fault) => [`local: ${fault.name}`, fault] as const)

/**
 * One round of each, or one of each variant; `npm run faults` repeats them. The promise is the same in every row:
 * no second tree beside the first, the tree gone before the lock can pass on, the right status, nothing left.
 */
describe.concurrent('the work stays on its leash', () => {
  const floor = new Floor()
  test.each([...onEtcd, ...onLocalEngine])(
    '%s',
    // Seconds; but on a busy machine, with those that are alone before it.
    {timeout: 900_000},
    async (_, tool, fault, engine) => {
      const rounds = fault.variants ?? 1
      const {problems} = await verdictWithSecondChance(
        (plan: Plan) => runFault(fault, plan),
        {rounds, jobs: rounds, ttlMs: tool.ttlMs, tool, engine},
        floor,
      )
      expect(problems.join('\n')).toBe('')
    },
  )

  test.each(ofLocalRun)('%s', {timeout: 900_000}, async (_, fault) => {
    const rounds = fault.variants ?? 1
    const {problems} = await verdictWithSecondChance(
      (plan) => runLocalFault(fault, plan),
      {rounds, jobs: rounds, ttlMs: localTtlMs},
      floor,
    )
    expect(problems.join('\n')).toBe('')
  })
})
