import {connectionFlags, handleFlag, speechFlags} from '../flags.ts'
import {LeashCommand} from '../LeashCommand.ts'
import {leaseLost} from '../lib/child/exitStatus.ts'
import {namesOf} from '../lib/handle/holdOfHandle.ts'
import {resignHandle} from '../lib/handle/releaseHandle.ts'
import {openHandle} from '../openHandle.ts'

export default class Resign extends LeashCommand {
  static override summary = 'Give up a leadership that campaign --keep has won.'
  static override description =
    'Ends with 0, also when it is repeated; with 79 if the leadership had already ended; with 69 if etcd is out of reach: then ' +
    'the next one leads when the lease has run out.'
  static override usage = 'resign [OPTIONS]'
  static override examples = ["trap '<%= config.bin %> resign' EXIT"]
  static override flags = {...handleFlag, ...connectionFlags, ...speechFlags}

  async run(): Promise<void> {
    const {flags, operands} = await this.parseArguments(Resign)
    this.speakWith(flags)
    const {handle, path, ports, close} = openHandle('resign', flags, operands)
    this.speakWith(flags, namesOf(handle))
    const state = await resignHandle(handle, path, ports).finally(close)
    if (state.is === 'sound') return
    this.speaker.warn(
      `the leadership had already ended, so not all that was done under it was protected: ${state.reason}; check what was done`,
    )
    this.end(leaseLost)
  }
}
