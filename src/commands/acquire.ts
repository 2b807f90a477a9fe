import {acquireRequest, handleSettings, requireName} from '../acquireRequest.ts'
import {
  handleOutputFlags,
  keepFlag,
  keyFlag,
  modeFlags,
  settingsFlags,
  signalFlag,
  speechFlags,
  timingFlags,
  waitingFlags,
} from '../flags.ts'
import {HandleOutput} from '../handleOutput.ts'
import {LeashCommand} from '../LeashCommand.ts'
import {takeInheritance} from '../lib/child/inheritance.ts'
import {SignalInbox} from '../lib/child/signalInbox.ts'
import {acquireHandle} from '../lib/handle/acquireHandle.ts'
import {handleMessage, handleStatus} from '../lib/handle/handleOutcome.ts'
import {isTerminal} from '../lib/output/stderr.ts'
import {openPorts} from '../openPorts.ts'

export default class Acquire extends LeashCommand {
  static override summary =
    'Take a lock for the shell commands that follow, and print the path of its handle.'
  static override description =
    'Locks of several names are taken all or none. With --keep a process in the background renews them until PID ends or ' +
    'release comes, and ends PID if they are lost; without, renew them in time. What PID has started and left behind is not ' +
    'contained: where that matters, use run. TIME is 500ms, 10s, 5m or 1h30m; a bare number is seconds.'
  static override usage = 'acquire NAME... [--keep PID | --ttl TIME] [OPTIONS]'
  static override examples = [
    'LEASH_HANDLE=$(<%= config.bin %> acquire deploy --keep $$) || exit; export LEASH_HANDLE',
  ]
  static override flags = {
    ...keepFlag,
    ...modeFlags,
    ...keyFlag,
    ...waitingFlags,
    ...timingFlags,
    ...signalFlag,
    ...handleOutputFlags,
    ...settingsFlags,
    ...speechFlags,
  }

  async run(): Promise<void> {
    const output = new HandleOutput(this.argv)
    const {ignoredSignals, env} = takeInheritance()
    const signals = new SignalInbox(ignoredSignals)
    const {flags, operands} = await this.parseArguments(Acquire)
    requireName(operands)
    output.choose(flags.export ? 'export' : flags.json ? 'json' : 'path')
    this.speakWith(flags, operands.join(', '))
    const settings = handleSettings(flags)
    const request = acquireRequest(flags, operands, settings, env)
    const {ports, close} = openPorts(settings, this.speaker)
    const outcome = await acquireHandle(request, ports, signals.interrupted, (handle, path) =>
      output.print(handle, path),
    ).finally(close)
    if (outcome.outcome === 'acquired') return
    const message = handleMessage(outcome, isTerminal() || flags.verbose)
    if (message !== undefined) this.speaker.warn(message)
    this.end(handleStatus(outcome, flags['conflict-exit-code']))
  }
}
