import {send} from '../child/containment.ts'
import {type ProcessIdentity, runningProcesses} from '../child/processIdentity.ts'
import {LeashError} from '../core/errors.ts'
import type {Handle} from './handle.ts'
import type {KeeperAnswer} from './keeper.ts'
import {type KeeperRequest, askKeeper, socketPath} from './keeperSocket.ts'

/**
 * Asks the keeper of a handle; undefined if there is none, or it has died.
 *
 * @param bootId of this boot: processes of another one are gone
 * @throws LeashError `unavailable` if it is alive and does not answer
 */
export async function askLivingKeeper(
  {keeper, bootId: bootOfHandle}: Handle,
  path: string,
  request: KeeperRequest,
  {bootId, limitMs}: {bootId: string; limitMs: number},
): Promise<KeeperAnswer | undefined> {
  if (keeper === undefined || bootOfHandle !== bootId || !isAlive(keeper)) return undefined
  // Somebody may have stopped it.
  send(keeper.pid, 'SIGCONT')
  const answer = await askKeeper(socketPath(path), request, limitMs)
  if (answer !== undefined) return answer as KeeperAnswer
  if (await ends(keeper)) return undefined
  throw new LeashError(
    'unavailable',
    `the keeper (pid ${keeper.pid}) does not answer`,
    'try again; what it keeps is ended before its lease is',
  )
}

/** How long a keeper takes at most that answers nobody any more because it has done its work. */
const endingMs = 2000
const lookEveryMs = 20

async function ends(keeper: ProcessIdentity): Promise<boolean> {
  for (let leftMs = endingMs; leftMs > 0 && isAlive(keeper); leftMs -= lookEveryMs)
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs))
  return !isAlive(keeper)
}

/** Whether it is this process, and not one that got its number. */
export function isAlive({pid, startTicks}: ProcessIdentity): boolean {
  return runningProcesses.startOf(pid) === startTicks
}
