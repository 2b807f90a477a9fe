import path from 'node:path'
import {expect, test} from 'vitest'
import {etcdctlProgram} from '../support/EtcdServer.ts'
import {faults} from './faults.ts'
import {runFault} from './runFault.ts'

const careless = ['sh', path.join(import.meta.dirname, 'careless.sh'), etcdctlProgram('3.5')]

/** The suite must fail where it should: with a tool that keeps a lock, but does not keep its job on a leash. */
test('sees two trees at once, a lost job that runs on, a status that hides it, and what is left behind', async () => {
  const fault = faults.find(({name}) => name === 'network black-holed both ways')
  if (!fault) throw new Error('the fault has another name')
  const {verdict} = await runFault(fault, {rounds: 1, jobs: 1, ttlMs: 2000, program: careless})
  expect(verdict.overlaps).toBe(1)
  expect(verdict.wrongStatuses).toBeGreaterThan(0)
  expect(verdict.leftovers).toBe(3)
  const problems = verdict.problems.join('\n')
  expect(problems).toMatch(/the holder was not ended[^]*OVERLAP of [\d.]+ ms/)
  expect(problems).toMatch(/left after 3000 ms: fault\/0\/stray\n[^]*leases left after 3000 ms: \w+, \w+$/)
})
