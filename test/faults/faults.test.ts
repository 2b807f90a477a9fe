import {describe, expect, test} from 'vitest'
import {faults} from './faults.ts'
import {runFault} from './runFault.ts'

/**
 * One round of each, or one of each variant; `npm run faults` repeats them. The promise is the same in every row:
 * no second tree beside the first, the tree gone before the lock can pass on, the right status, nothing left.
 */
describe.concurrent('the work stays on its leash', () => {
  test.each(faults.map((fault) => [fault.name, fault] as const))(
    '%s',
    {timeout: 120_000},
    async (_, fault) => {
      const rounds = fault.variants ?? 1
      const {verdict} = await runFault(fault, {rounds, jobs: rounds, ttlMs: 3000})
      expect(verdict.problems.join('\n')).toBe('')
    },
  )
})
