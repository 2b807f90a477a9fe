import path from 'node:path'
import {describe, expect, test} from 'vitest'
import {etcdctlProgram} from '../support/EtcdServer.ts'
import {faults} from './faults.ts'
import {runFault} from './runFault.ts'
import type {Verdict} from './verdict.ts'

const careless = ['sh', path.join(import.meta.dirname, 'careless.sh'), etcdctlProgram('3.5')]

const verdictOn = async (name: string): Promise<Verdict> => {
  const fault = faults.find((row) => row.name === name)
  if (!fault) throw new Error('the fault has another name')
  // A copy is not in the table, and hence gets the simplest child.
  return (await runFault({...fault}, {rounds: 1, jobs: 1, ttlMs: 2000, program: careless})).verdict
}

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
