import {type Settings, type SettingsFlags, loadSettings} from './lib/config/settings.ts'
import {parseDuration} from './lib/config/duration.ts'
import {LeashError} from './lib/core/errors.ts'
import {electionKeys, lockKeys, rawLockKeys} from './lib/core/lockName.ts'
import type {QueueKind} from './lib/output/observed.ts'

/** What to look at. */
export interface LookRequest {
  name: string
  kind: QueueKind
  queuePrefix: string
  connectTimeoutMs: number
  settings: Settings
}

/**
 * What to look at, from flags and the name, with every check that needs no etcd.
 *
 * @param command for messages
 * @throws LeashError `usage` for no name, several, or one that breaks the rules; and as `loadSettings`
 */
export function lookRequest(
  command: string,
  flags: SettingsFlags & {readonly lock: boolean; readonly 'raw-key': boolean},
  operands: readonly string[],
): LookRequest {
  const [name, another] = operands
  if (name === undefined)
    throw new LeashError('usage', `${command} was given no name`, `name an election: leash ${command} NAME`)
  if (another !== undefined) {
    const message = `${command} looks at one election, and was given ${JSON.stringify(another)}, too`
    throw new LeashError('usage', message, 'name one of them')
  }
  const settings = loadSettings(flags)
  const {prefix, connectTimeoutMs} = settings.connection
  const keysOf = flags.lock ? lockKeys : electionKeys
  const {queuePrefix} = flags['raw-key'] ? rawLockKeys(name) : keysOf(prefix.value, name)
  const kind = flags.lock ? 'lock' : 'election'
  return {name, kind, queuePrefix, connectTimeoutMs: connectTimeoutMs.value, settings}
}

const defaultStaleAfterMs = 15_000
/** etcd is asked for a proof three times in that time. */
const shortestStaleAfterMs = 1000

/** @throws LeashError `usage` if it is no duration, or one that would have etcd asked too often */
export function staleAfterMs(text: string | undefined): number {
  if (text === undefined) return defaultStaleAfterMs
  const ms = parseDuration(text, {kind: 'flag', name: '--stale-after'})
  if (ms >= shortestStaleAfterMs) return ms
  const message = `--stale-after ${JSON.stringify(text)} is shorter than 1s, and etcd is asked three times in that time`
  throw new LeashError('usage', message, 'write 1s or more')
}
