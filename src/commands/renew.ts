import {connectionFlags, handleFlag, speechFlags} from '../flags.ts'
import {LeashCommand} from '../LeashCommand.ts'
import {leaseLost} from '../lib/child/exitStatus.ts'
import {namesOf} from '../lib/handle/holdOfHandle.ts'
import {renewHandle} from '../lib/handle/renewHandle.ts'
import {openHandle} from '../openHandle.ts'

export default class Renew extends LeashCommand {
  static override summary = 'Renew the lease of a lock that acquire has taken.'
  static override description =
    'Ends with 0 when etcd has confirmed it, 69 if etcd is out of reach, and 79 if the lock is no longer held. A lock with a ' +
    'keeper (acquire --keep) needs no renewal by hand.'
  static override usage = 'renew [OPTIONS]'
  static override examples = ['<%= config.bin %> renew || exit']
  static override flags = {...handleFlag, ...connectionFlags, ...speechFlags}

  async run(): Promise<void> {
    const {flags, operands} = await this.parseArguments(Renew)
    this.speakWith(flags)
    const {handle, path, ports, close} = openHandle('renew', flags, operands)
    this.speakWith(flags, namesOf(handle))
    const state = await renewHandle(handle, path, ports).finally(close)
    if (state.is === 'sound') return
    this.speaker.warn(`not renewed: ${state.reason}; stop what relies on the lock`)
    this.end(leaseLost)
  }
}
