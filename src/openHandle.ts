import {resolve} from 'node:path'
import {type SettingsFlags, loadSettings} from './lib/config/settings.ts'
import {LeashError} from './lib/core/errors.ts'
import {bootTime} from './lib/handle/bootTime.ts'
import type {Handle} from './lib/handle/handle.ts'
import {readHandle} from './lib/handle/handleFile.ts'
import type {HandlePorts} from './lib/handle/releaseHandle.ts'
import {openStore} from './openPorts.ts'

/** A handle as the commands that go by one have it. `close` it, or its connections keep the process alive. */
export interface OpenHandle {
  handle: Handle
  path: string
  ports: HandlePorts
  close: () => void
}

/**
 * Reads the handle that `--handle` or `$LEASH_HANDLE` names, and speaks to the etcd that it names unless `--endpoints` names
 * another way there.
 *
 * @param command for messages
 * @throws LeashError `usage` for none, a wrong one, or operands, which these commands do not have; `config` as `loadSettings`
 */
export function openHandle(
  command: string,
  flags: SettingsFlags & {readonly handle?: string | undefined},
  operands: readonly string[],
): OpenHandle {
  const [operand] = operands
  if (operand !== undefined) {
    const message = `${command} goes by a handle, not by a name such as ${JSON.stringify(operand)}: another script of yours may hold that lock`
    throw new LeashError('usage', message, 'set LEASH_HANDLE, or give --handle PATH')
  }
  const path = flags.handle ?? process.env['LEASH_HANDLE']
  if (!path) {
    const message =
      flags.handle === undefined && path === undefined ? 'no handle is given' : 'the handle is empty'
    const wayOut =
      'set LEASH_HANDLE to what leash acquire, or leash campaign --keep, has printed, or give --handle PATH'
    throw new LeashError('usage', message, wayOut)
  }
  const handle = readHandle(resolve(path))
  const settings = loadSettings({
    ...flags,
    endpoints: flags.endpoints ?? handle.endpoints.join(','),
    isLocalAlready: flags.endpoints === undefined,
  })
  const {store, clock} = openStore(settings)
  const ports = {store, clock, bootTime, connectTimeoutMs: settings.connection.connectTimeoutMs.value}
  return {handle, path: resolve(path), ports, close: () => store.close()}
}
