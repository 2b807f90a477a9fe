import {connectionFlags, handleFlag, proposalFlags, speechFlags} from '../flags.ts'
import {LeashCommand} from '../LeashCommand.ts'
import {leaseLost} from '../lib/child/exitStatus.ts'
import {proposalOf} from '../lib/config/electionRequest.ts'
import {namesOf} from '../lib/handle/holdOfHandle.ts'
import {proclaimHandle} from '../lib/handle/proclaimHandle.ts'
import {openHandle} from '../openHandle.ts'

export default class Proclaim extends LeashCommand {
  static override summary = 'Tell the observers of an election that campaign --keep has won another value.'
  static override description =
    'Ends with 0 when etcd has it, 79 if we do not lead any more, and 69 if etcd is out of reach.'
  static override usage = 'proclaim --value TEXT | --value-file PATH [OPTIONS]'
  static override examples = ['<%= config.bin %> proclaim --value draining']
  static override flags = {...proposalFlags, ...handleFlag, ...connectionFlags, ...speechFlags}

  async run(): Promise<void> {
    const {flags, operands} = await this.parseArguments(Proclaim)
    this.speakWith(flags)
    const value = proposalOf(flags)
    const {handle, path, ports, close} = openHandle('proclaim', flags, operands)
    this.speakWith(flags, namesOf(handle))
    const state = await proclaimHandle(handle, path, value, ports).finally(close)
    if (state.is === 'sound') return
    this.speaker.warn(`not proclaimed: ${state.reason}; stop what relies on the leadership`)
    this.end(leaseLost)
  }
}
