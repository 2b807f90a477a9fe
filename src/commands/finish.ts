import {LeashCommand} from '../LeashCommand.ts'
import {decodeEnding} from '../lib/child/ending.ts'
import {loadSettings} from '../lib/config/settings.ts'
import {toldWorld} from '../lib/config/world.ts'
import {endHold} from '../lib/core/heldLock.ts'
import {openStore} from '../openPorts.ts'

/** How long it tries. What takes longer, the end of the lease does. */
const limitMs = 3000

/** Started by a guard, when leash has died and the job's tree was seen empty. */
export default class Finish extends LeashCommand {
  static override hidden = true
  static override summary = 'Internal: end at etcd the hold of a leash that died.'
  async run(): Promise<void> {
    const {operands} = await this.parseArguments(Finish)
    const holds = decodeEnding(operands.join(' '))
    const {store, clock} = openStore(loadSettings({}, toldWorld(process.env)))
    await endHold(store, clock, holds, limitMs).finally(() => store.close())
  }
}
