import {Socket} from 'node:net'
import {LeashCommand} from '../LeashCommand.ts'
import {loadSettings} from '../lib/config/settings.ts'
import {keep} from '../lib/handle/keeper.ts'
import {KeeperLink} from '../lib/handle/keeperProcess.ts'
import {openStore} from '../openPorts.ts'
import {guardScript} from '../ownPrograms.ts'

/** Where `acquire` speaks to us. */
const linkDescriptor = 3

/** Started by `acquire --keep`, with nothing of its caller's but an environment. */
export default class Keep extends LeashCommand {
  static override hidden = true
  static override summary = 'Internal: renew a lock that acquire has taken, for as long as a process lives.'
  async run(): Promise<void> {
    // Whoever ends a whole service means the process that is kept. We end with it.
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2'] as const)
      process.on(signal, () => {})
    const link = new KeeperLink(new Socket({fd: linkDescriptor}))
    const {store, clock} = openStore(loadSettings({}))
    // Nothing that lets somebody in: it only kills.
    const guard = {script: guardScript, env: {PATH: process.env['PATH'] ?? ''}}
    await keep(link, {store, clock, guard}).finally(() => store.close())
  }
}
