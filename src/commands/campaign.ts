import {Flags} from '@oclif/core'
import {candidacy} from '../campaignRequest.ts'
import {campaignAlone, campaignKept, campaignWithCommand} from '../campaigns.ts'
import {
  childFlags,
  handleOutputFlags,
  keepFlag,
  keyFlag,
  proposalFlags,
  settingsFlags,
  speechFlags,
  timingFlags,
  waitingFlags,
} from '../flags.ts'
import {HandleOutput} from '../handleOutput.ts'
import {LeashCommand} from '../LeashCommand.ts'
import {takeInheritance} from '../lib/child/inheritance.ts'
import {SignalInbox} from '../lib/child/signalInbox.ts'

export default class Campaign extends LeashCommand {
  static override summary = 'Lead an election: run a command while we do, and end it before anybody else can.'
  static override description =
    'Without COMMAND it prints "elected FENCE KEY" when we lead, and resigns when it is told to end; with --keep it prints a ' +
    'handle, as acquire does. TIME is 500ms, 10s, 5m or 1h30m; a bare number is seconds. The exit status ' +
    'is that of run, with --keep that of acquire, and without both 79 if we lead no more, 128 + N after signal N.'
  static override usage = 'campaign NAME [OPTIONS] [-- COMMAND [ARGUMENT...]]'
  static override examples = ['<%= config.bin %> campaign api --value "$(hostname):8080" --rejoin -- ./serve']
  static override flags = {
    ...proposalFlags,
    rejoin: Flags.boolean({
      summary: 'campaign again after a loss, for ever',
      helpGroup: 'ELECTION',
    }),
    ...keepFlag,
    ...keyFlag,
    ...waitingFlags,
    ...timingFlags,
    ...childFlags,
    ...handleOutputFlags,
    ...settingsFlags,
    ...speechFlags,
  }

  async run(): Promise<void> {
    const output = new HandleOutput(this.argv)
    const inheritance = takeInheritance()
    const signals = new SignalInbox(inheritance.ignoredSignals)
    const {flags, operands, behind} = await this.parseArguments(Campaign)
    const candidate = candidacy(operands, behind, flags)
    this.speakWith(flags, candidate.name)
    this.reportTo(flags['status-file'])
    const ways = {command: campaignWithCommand, keeper: campaignKept, nothing: campaignAlone}
    const parts = {flags, candidate, inheritance, signals, output, speaker: this.speaker}
    const {status, message, report} = await ways[candidate.relies](parts)
    if (message !== undefined) this.speaker.warn(message)
    this.end(status, report)
  }
}
