import {beforeEnd} from './commandLine.ts'
import {KeeperProcess} from './lib/handle/keeperProcess.ts'
import {leashProgram, plainEnvironment} from './ownPrograms.ts'

let early: KeeperProcess | undefined

/**
 * Starts the keeper of `acquire --keep` before the rest of the command is loaded, which takes as long as Node takes to start.
 * One that is not taken ends with us.
 */
export function startKeeper(argv: readonly string[]): void {
  if (!beforeEnd(argv).some((arg) => arg === '--keep' || arg.startsWith('--keep='))) return
  early = start()
}

/** The keeper that was started, or one that is. */
export function takeKeeper(): KeeperProcess {
  return early ?? start()
}

function start(): KeeperProcess {
  return KeeperProcess.start([...leashProgram, 'keep'], plainEnvironment(process.env))
}
