import {connectionFlags, handleFlag, speechFlags} from '../flags.ts'
import {LeashCommand} from '../LeashCommand.ts'
import {leaseLost} from '../lib/child/exitStatus.ts'
import {namesOf} from '../lib/handle/holdOfHandle.ts'
import {releaseHandle} from '../lib/handle/releaseHandle.ts'
import {openHandle} from '../openHandle.ts'

export default class Release extends LeashCommand {
  static override summary = 'Give back a lock that acquire has taken.'
  static override description =
    'Ends with 0, also when it is repeated; with 79 if the lock had already ended, so that what it should have protected was ' +
    'not protected to the end; with 69 if etcd is out of reach: then the lock is free when its lease has run out.'
  static override usage = 'release [OPTIONS]'
  static override examples = ["trap '<%= config.bin %> release' EXIT"]
  static override flags = {...handleFlag, ...connectionFlags, ...speechFlags}

  async run(): Promise<void> {
    const {flags, operands} = await this.parseArguments(Release)
    this.speakWith(flags)
    const {handle, path, ports, close} = openHandle('release', flags, operands)
    this.speakWith(flags, namesOf(handle))
    const state = await releaseHandle(handle, path, ports).finally(close)
    if (state.is === 'sound') return
    this.speaker.warn(
      `the lock had already ended, so not all that was done under it was protected: ${state.reason}; check what was done`,
    )
    this.end(leaseLost)
  }
}
