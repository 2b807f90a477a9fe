import {describe, expect, test} from 'vitest'
import {type CampaignFlags, candidacy} from '../../src/campaignRequest.ts'
import {LeashError} from '../../src/lib/core/errors.ts'

const none: CampaignFlags = {
  'no-wait': false,
  'raw-key': false,
  rejoin: false,
  export: false,
  json: false,
  verbose: false,
}
const keep = {keep: '1'}

describe('who stands', () => {
  test.each([
    ['nothing relies on it', [], undefined, {}, {relies: 'nothing', command: []}],
    ['a command does', ['run', '-v'], ['run', '-v'], {}, {relies: 'command', command: ['run', '-v']}],
    // `runRequest` says what is missing.
    ['a command that is missing does', [], [], {}, {relies: 'command', command: []}],
    ['a process that is kept does', [], undefined, keep, {relies: 'keeper', command: []}],
  ] as const)('when %s', (_, command, behind, flags, expected) => {
    expect(candidacy(['api', ...command], behind, {...none, ...flags})).toEqual({name: 'api', ...expected})
  })

  test('is a second name only in front of the --', () => {
    expect(candidacy(['api', 'api'], ['api'], none)).toMatchObject({name: 'api', command: ['api']})
    expect(() => candidacy(['api', 'other'], undefined, none)).toThrow('"other" is a second name')
    expect(() => candidacy(['api', 'other', 'true'], ['true'], none)).toThrow('"other" is a second name')
  })

  test.each([
    [['-x'], {relies: 'nothing', command: []}],
    [['-x', '--', 'run', '--', '-v'], {relies: 'command', command: ['run', '--', '-v']}],
    [['-x', '--'], {relies: 'command', command: []}],
  ])('has a name that begins with - behind a -- of its own: -- %j', (behind, expected) => {
    expect(candidacy(behind, behind, none)).toEqual({name: '-x', ...expected})
    expect(candidacy(['api', ...behind], behind, none)).toMatchObject({name: 'api', command: behind})
    expect(() => candidacy(['-x', 'y'], ['-x', 'y'], none)).toThrow('"y" is a second name')
  })

  test('is nobody without a name, also if there is a command', () => {
    expect(() => candidacy([], undefined, none)).toThrow('there is no election to stand in')
    expect(() => candidacy(['true'], ['true'], none)).toThrow('there is no election to stand in')
  })
})

describe('a flag', () => {
  const ways = {command: [['api', 'true'], ['true'], {}], keeper: [['api'], undefined, keep]} as const
  const refusals = (flags: Partial<CampaignFlags>): Record<string, boolean> => {
    const isRefused = (operands: readonly string[], behind?: readonly string[], more = {}): boolean => {
      try {
        candidacy(operands, behind, {...none, ...flags, ...more})
        return false
      } catch (error) {
        if (error instanceof LeashError && error.code === 'usage') return true
        throw error
      }
    }
    return {
      command: isRefused(...ways.command),
      keeper: isRefused(...ways.keeper),
      nothing: isRefused(['api']),
    }
  }

  test.each<[Partial<CampaignFlags>, obeyedBy: string[]]>([
    [{signal: 'INT'}, ['command', 'keeper']],
    [{leftovers: 'kill'}, ['command']],
    [{foreground: false}, ['command']],
    [{contain: 'group'}, ['command']],
    [{'require-containment': 'group'}, ['command']],
    [{'status-file': ''}, ['command']],
    [{export: true}, ['keeper']],
    [{json: true}, ['keeper', 'nothing']],
    [{rejoin: true}, ['command', 'nothing']],
    [{value: 'v'}, ['command', 'keeper', 'nothing']],
  ])('that nobody would obey is refused: %j is for %j', (flags, obeyedBy) => {
    const refused = Object.entries(refusals(flags)).filter(([, isRefused]) => isRefused)
    const all = ['command', 'keeper', 'nothing']
    expect(refused.map(([way]) => way)).toEqual(all.filter((way) => !obeyedBy.includes(way)))
  })
})
