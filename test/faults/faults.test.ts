import {describe, expect, test} from 'vitest'
import {faults} from './faults.ts'
import {Floor, verdictWithSecondChance} from './secondChance.ts'

/**
 * One round of each, or one of each variant; `npm run faults` repeats them. The promise is the same in every row:
 * no second tree beside the first, the tree gone before the lock can pass on, the right status, nothing left.
 */
describe.concurrent('the work stays on its leash', () => {
  const floor = new Floor()
  test.each(faults.map((fault) => [fault.name, fault] as const))(
    '%s',
    // Seconds; but on a busy machine, with those that are alone before it.
    {timeout: 900_000},
    async (_, fault) => {
      const rounds = fault.variants ?? 1
      const {problems} = await verdictWithSecondChance(fault, {rounds, jobs: rounds, ttlMs: 3000}, floor)
      expect(problems.join('\n')).toBe('')
    },
  )
})
