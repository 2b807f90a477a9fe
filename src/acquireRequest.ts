import {type ProcessIdentity, identifyKept} from './lib/child/processIdentity.ts'
import {type LockFlags, lockRequest} from './lib/config/lockRequest.ts'
import {type Settings, type SettingsFlags, loadSettings} from './lib/config/settings.ts'
import {parseSignal} from './lib/config/signal.ts'
import {systemWorld} from './lib/config/world.ts'
import {LeashError} from './lib/core/errors.ts'
import type {LockRequest} from './lib/core/lock.ts'
import type {HandleRequest} from './lib/handle/acquireHandle.ts'
import {bootTime} from './lib/handle/bootTime.ts'
import {prepareHandleDirectory} from './lib/handle/handleDirectory.ts'
import type {KeeperProcess} from './lib/handle/keeperProcess.ts'
import {sweepHandles} from './lib/handle/sweepHandles.ts'
import {takeKeeper} from './earlyKeeper.ts'
import {settingVariables} from './ownPrograms.ts'

/** The flags that say for whom to take a lock, and for how long. */
export type HandleFlags = SettingsFlags & {
  keep?: string | undefined
  signal?: string | undefined
  'conflict-exit-code'?: number | undefined
}

/** The flags of `acquire`. */
export type AcquireFlags = HandleFlags & Omit<LockFlags, 'with-lock'>

/**
 * Said before anything that a configuration could be blamed for.
 *
 * @throws LeashError `usage`
 */
export function requireName([first]: readonly string[]): void {
  if (first === undefined)
    throw new LeashError('usage', 'there is no lock to take', 'name it: leash acquire NAME --keep $$')
}

/**
 * What to take for the commands that follow, from flags, names and settings, with every check that needs no etcd; and the
 * directory for its handle.
 *
 * @throws LeashError `usage`; `config` if there is no place for handles
 */
export function acquireRequest(
  flags: AcquireFlags,
  names: readonly string[],
  settings: Settings,
  env: Readonly<Record<string, string>>,
): HandleRequest {
  return handleRequest(lockRequest({...flags, 'with-lock': names}, settings), flags, settings, env)
}

/**
 * The same when it is known what to take.
 *
 * @throws as `acquireRequest`
 */
export function handleRequest(
  lock: LockRequest,
  flags: HandleFlags,
  settings: Settings,
  env: Readonly<Record<string, string>>,
): HandleRequest {
  // A shell goes by the status alone.
  if (flags['conflict-exit-code'] === 0) {
    const message = '--conflict-exit-code 0 would let a script go on without the lock'
    throw new LeashError('usage', message, 'choose 1 to 255')
  }
  const stopSignal = parseSignal(flags.signal ?? 'TERM')
  const kept = flags.keep === undefined ? undefined : identifyKept(flags.keep)
  if (kept === undefined) refuseWithoutKeeper(flags)
  const {uid, home} = systemWorld()
  // Who looks for the holder finds a process that is there.
  const holder = {...lock.holder, pid: kept?.pid ?? process.ppid}
  const directory = prepareHandleDirectory({uid, home})
  const {bootId, bootMs} = bootTime()
  sweepHandles(directory, {bootId, bootMs, wallMs: Date.now()})
  return {
    lock: {...lock, holder},
    directory,
    endpoints: settings.connection.endpoints.value.map(({url}) => url),
    bootId,
    own: env['LEASH_HANDLE'] || undefined,
    ...(kept && {keeper: {process: keeperFor(kept, stopSignal, lock, settings), kept}}),
  }
}

function keeperFor(
  kept: ProcessIdentity,
  stopSignal: NodeJS.Signals,
  {connectTimeoutMs: limitMs, locks: [{queuePrefix}]}: LockRequest,
  settings: Settings,
): KeeperProcess {
  const keeper = takeKeeper()
  keeper.prepare({kept, stopSignal, limitMs, environment: settingVariables(settings), queuePrefix})
  return keeper
}

/**
 * The life of a lock with a keeper, unless somebody chooses another: longer than that of a job, for a script asks
 * `check --for 30s` between its steps, and that must be true as long as renewals come.
 */
const keptTtlMs = 60_000

/**
 * The settings, with what holds for handles only: the longer life of a lock with a keeper; and no grace for one without, as
 * nobody ends anything for it.
 *
 * @throws LeashError as `loadSettings`
 */
export function handleSettings(flags: HandleFlags): Settings {
  if (flags.keep === undefined) return loadSettings({...flags, grace: flags.grace ?? '0'})
  const settings = loadSettings(flags)
  const {timing} = settings
  if (timing.ttlMs.origin.kind !== 'default') return settings
  return {...settings, timing: {...timing, ttlMs: {...timing.ttlMs, value: keptTtlMs}}}
}

function refuseWithoutKeeper({ttl, grace, signal}: HandleFlags): void {
  if (ttl === undefined) {
    const wayOut = 'choose one with --ttl, or have it renewed with --keep $$'
    throw new LeashError('usage', 'a lock that nobody renews needs a life that somebody has chosen', wayOut)
  }
  const [idle] = [grace !== undefined && '--grace', signal !== undefined && '--signal'].filter(Boolean)
  if (idle !== undefined)
    throw new LeashError('usage', `${idle} is for what a keeper ends`, 'give --keep, too, or leave it out')
}
