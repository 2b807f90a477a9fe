import {fstatSync} from 'node:fs'
import {Socket} from 'node:net'
import {LeashCommand} from '../LeashCommand.ts'
import {closeInherited} from '../lib/child/inheritance.ts'
import {loadSettings} from '../lib/config/settings.ts'
import {toldWorld} from '../lib/config/world.ts'
import {LeashError} from '../lib/core/errors.ts'
import {keep} from '../lib/handle/keeper.ts'
import {KeeperLink} from '../lib/handle/keeperProcess.ts'
import {openStore} from '../openPorts.ts'
import {guardScript} from '../ownPrograms.ts'

/** Where `acquire` speaks to us. */
const linkDescriptor = 3

/** Started by `acquire --keep`, which tells it all that it needs. */
export default class Keep extends LeashCommand {
  static override hidden = true
  static override summary = 'Internal: renew a lock that acquire has taken, for as long as a process lives.'
  async run(): Promise<void> {
    // Whoever ends a whole service means the process that is kept. We end with it.
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2'] as const)
      process.on(signal, () => {})
    const link = new KeeperLink(openLink())
    closeInherited()
    const plan = await link.plan()
    if (plan === undefined) return
    const {environment, queuePrefix} = plan
    const {store, clock} = openStore(loadSettings({}, toldWorld(environment)))
    void store.connect(queuePrefix)
    // Nothing that lets somebody in: it only kills.
    const guard = {script: guardScript, env: {PATH: process.env['PATH'] ?? ''}}
    await keep(plan, link, {store, clock, guard}).finally(() => store.close())
  }
}

function openLink(): Socket {
  try {
    if (fstatSync(linkDescriptor).isSocket()) return new Socket({fd: linkDescriptor})
  } catch {
    // It is not open.
  }
  throw new LeashError('usage', `descriptor ${linkDescriptor} is no socket`, 'leave this command to leash')
}
