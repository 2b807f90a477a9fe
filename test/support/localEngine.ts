import {rmSync} from 'node:fs'
import path from 'node:path'
import type {Clock} from '../../src/lib/core/clock.ts'
import {type Engine, serveStorage} from '../../src/lib/local/engine.ts'
import type {Storage} from '../../src/lib/local/storage.ts'
import {scratchDirectory} from './scratch.ts'

/** An engine in this process, on a socket of its own. */
export interface LocalEngine extends AsyncDisposable {
  readonly engine: Engine
  readonly socketPath: string
  /** `unix:...` */
  readonly url: string
}

export const localEngine = async (
  storage: Storage,
  clock: Clock,
  idleMs = Infinity,
): Promise<LocalEngine> => {
  const directory = scratchDirectory('engine')
  const socketPath = path.join(directory, 'socket')
  const engine = await serveStorage(storage, {socketPath, clock, idleMs})
  return {
    engine,
    socketPath,
    url: `unix:${socketPath}`,
    [Symbol.asyncDispose]: async () => {
      await engine.stop()
      rmSync(directory, {recursive: true, force: true})
    },
  }
}
