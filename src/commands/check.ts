import {isatty} from 'node:tty'
import {Flags} from '@oclif/core'
import {connectionFlags, handleFlag, speechFlags} from '../flags.ts'
import {LeashCommand} from '../LeashCommand.ts'
import {parseDuration} from '../lib/config/duration.ts'
import {checkHandle} from '../lib/handle/checkHandle.ts'
import {namesOf} from '../lib/handle/holdOfHandle.ts'
import {openHandle} from '../openHandle.ts'

const stdout = 1
const no = 1

export default class Check extends LeashCommand {
  static override summary = 'Ask etcd whether a lock that acquire has taken is still held.'
  static override description =
    'Ends with 0 if it is, 1 if it is not, and 69 if etcd is out of reach, so that nobody knows. TIME is 500ms, 10s, 5m or ' +
    '1h30m; a bare number is seconds.'
  static override usage = 'check [--for TIME] [OPTIONS]'
  static override examples = ['<%= config.bin %> check --for 30s || exit']
  static override flags = {
    for: Flags.string({summary: 'and held for so long, also if etcd falls silent now', helpValue: 'TIME'}),
    json: Flags.boolean({summary: 'print what is known as JSON'}),
    ...handleFlag,
    ...connectionFlags,
    ...speechFlags,
  }

  async run(): Promise<void> {
    const {flags, operands} = await this.parseArguments(Check)
    this.speakWith(flags)
    const forMs = flags.for === undefined ? 0 : parseDuration(flags.for, {kind: 'flag', name: '--for'})
    const {handle, path, ports, close} = openHandle('check', flags, operands)
    const names = namesOf(handle)
    this.speakWith(flags, names)
    const result = await checkHandle(handle, path, forMs, ports).finally(close)
    if (flags.json)
      this.log(JSON.stringify({handle: path, locks: handle.locks.map(({name}) => name), ...result}))
    else if (result.held && isatty(stdout))
      this.log(`${names}: held, and good for ${(result.leftMs / 1000).toFixed(1)} s`)
    if (result.held) return
    this.speaker.warn(`not held, or not for long enough: ${result.reason}; stop what relies on the lock`)
    this.end(no)
  }
}
