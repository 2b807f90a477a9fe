import {LeashError} from './lib/core/errors.ts'
import type {CandidateFlags} from './lib/config/electionRequest.ts'
import type {SettingsFlags} from './lib/config/settings.ts'
import type {RunFlags} from './runRequest.ts'

/** The flags of `campaign`. */
export type CampaignFlags = CandidateFlags &
  RunFlags &
  SettingsFlags & {
    rejoin: boolean
    keep?: string | undefined
    export: boolean
    json: boolean
    verbose: boolean
    'status-file'?: string | undefined
    'conflict-exit-code'?: number | undefined
    'lost-exit-code'?: number | undefined
  }

/** Who stands, and what relies on the leadership. */
export interface Candidacy {
  /** Of the election. */
  name: string
  relies: 'command' | 'keeper' | 'nothing'
  /** What to run while we lead; empty if nothing is. */
  command: readonly string[]
}

const usage = 'leash campaign NAME [OPTIONS] [-- COMMAND]'

/**
 * The one name, and the command behind the `--`. A name that begins with `-`, as no command does, stands behind a `--` of its own.
 *
 * @throws LeashError `usage` for another number of names, and for flags that would be passed over in silence
 */
export function candidacy(
  operands: readonly string[],
  behindEnd: readonly string[] | undefined,
  flags: CampaignFlags,
): Candidacy {
  const {names, command: behind} = separateNames(operands, behindEnd)
  const [name, second] = names
  if (name === undefined)
    throw new LeashError('usage', 'there is no election to stand in', `name it: ${usage}`)
  if (second !== undefined) {
    const message = `one election is led at a time, and ${JSON.stringify(second)} is a second name`
    throw new LeashError('usage', message, `put a command behind --: ${usage}`)
  }
  if (flags.keep !== undefined) {
    if (behind !== undefined) throw together('--keep', 'a command', 'leave one of them out')
    if (flags.rejoin) throw together('--keep', '--rejoin', 'have the process that is kept start again')
  }
  const idle = idleFlag(flags, behind !== undefined)
  if (idle !== undefined) throw new LeashError('usage', `${idle.flag} is for ${idle.whom}`, 'leave it out')
  const relies = behind !== undefined ? 'command' : flags.keep !== undefined ? 'keeper' : 'nothing'
  return {name, relies, command: behind ?? []}
}

function separateNames(
  operands: readonly string[],
  behind: readonly string[] | undefined,
): {names: readonly string[]; command: readonly string[] | undefined} {
  const names = operands.slice(0, operands.length - (behind?.length ?? 0))
  if (names.length > 0 || !behind?.[0]?.startsWith('-')) return {names, command: behind}
  const end = behind.indexOf('--', 1)
  return end < 0
    ? {names: behind, command: undefined}
    : {names: behind.slice(0, end), command: behind.slice(end + 1)}
}

/** A flag that nothing would obey, and what it is for. */
function idleFlag(flags: CampaignFlags, hasCommand: boolean): {flag: string; whom: string} | undefined {
  const isKept = flags.keep !== undefined
  const {signal, leftovers, foreground, contain, json} = flags
  const some: [string, string, unknown][] = [
    ['--signal', 'a command, or for --keep', !hasCommand && !isKept && signal],
    ['--leftovers', 'a command', !hasCommand && leftovers],
    ['--foreground', 'a command', !hasCommand && foreground !== undefined],
    ['--contain', 'a command', !hasCommand && contain],
    ['--require-containment', 'a command', !hasCommand && flags['require-containment']],
    ['--status-file', 'a command', !hasCommand && flags['status-file'] !== undefined],
    ['--export', '--keep', !isKept && flags.export],
    ['--json', 'a campaign without a command', hasCommand && json],
  ]
  const [flag, whom] = some.find(([, , isIdle]) => isIdle) ?? []
  return flag === undefined || whom === undefined ? undefined : {flag, whom}
}

function together(one: string, other: string, wayOut: string): LeashError {
  return new LeashError('usage', `${one} and ${other} do not go together`, wayOut)
}
