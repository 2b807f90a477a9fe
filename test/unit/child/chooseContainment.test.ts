import {describe, expect, test} from 'vitest'
import {type ContainmentChoice, probeContainment} from '../../../src/lib/child/chooseContainment.ts'
import {tierWithoutCgroup} from '../../../src/lib/child/processTree.ts'
import {asOrdinaryUser, refusal} from '../config/temporaryWorld.ts'

describe('where no cgroup can be made', () => {
  const probe = (choice: ContainmentChoice) => asOrdinaryUser(() => probeContainment(choice))

  test('a job gets the best of what is left', () => {
    expect(probe({wish: 'auto', required: 'group'})).toBe(tierWithoutCgroup)
    expect(probe({wish: 'auto', required: tierWithoutCgroup})).toBe(tierWithoutCgroup)
  })

  test.each<ContainmentChoice>([
    {wish: 'cgroup', required: 'group'},
    {wish: 'auto', required: 'cgroup'},
    {wish: 'cgroup', required: 'cgroup'},
  ])('a job that is to have one is refused: $wish, $required', (choice) => {
    const {code, message, wayOut} = refusal(() => probe(choice))
    expect({code, message}).toEqual({
      code: 'config',
      message: expect.stringMatching(/^no cgroup can be made for the job \(.+\)$/) as string,
    })
    expect(wayOut).toContain('Delegate=yes')
  })
})

test('a cgroup that is ruled out and required is refused, with both in the message', () => {
  expect(refusal(() => probeContainment({wish: 'group', required: 'cgroup'}))).toMatchObject({
    code: 'config',
    message: 'no cgroup can be made for the job (ruled out by --contain group)',
  })
})

test('a cgroup that is ruled out is not needed for less', () => {
  expect(probeContainment({wish: 'group', required: tierWithoutCgroup})).toBe(tierWithoutCgroup)
})
