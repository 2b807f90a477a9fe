import {Flags} from '@oclif/core'
import {
  childFlags,
  keyFlag,
  modeFlags,
  settingsFlags,
  speechFlags,
  timingFlags,
  waitingFlags,
} from '../flags.ts'
import {LeashCommand} from '../LeashCommand.ts'
import {runStatus} from '../lib/child/exitStatus.ts'
import {probeContainment} from '../lib/child/chooseContainment.ts'
import {takeInheritance} from '../lib/child/inheritance.ts'
import {runMessage} from '../lib/child/runMessage.ts'
import {runReport} from '../lib/child/runReport.ts'
import {runUnderLock} from '../lib/child/runUnderLock.ts'
import {SignalInbox} from '../lib/child/signalInbox.ts'
import {describeSettings} from '../lib/config/describeSettings.ts'
import {lockRequest, wishedTimeline} from '../lib/config/lockRequest.ts'
import {runRequest} from '../runRequest.ts'
import {loadSettings} from '../lib/config/settings.ts'
import {explain} from '../lib/output/explain.ts'
import {isTerminal} from '../lib/output/stderr.ts'
import {openPorts} from '../openPorts.ts'

export default class Run extends LeashCommand {
  static override summary = 'Run a command while holding a lock, and end it before the lock can pass on.'
  static override description =
    "TIME is 500ms, 10s, 5m or 1h30m; a bare number is seconds. The exit status is COMMAND's own, or 64 wrong usage, " +
    '69 etcd is out of reach, 75 not acquired, 77 etcd refuses, 78 wrong configuration, 79 the lease was lost, ' +
    '126 or 127 COMMAND cannot be run.'
  static override usage = 'run -l NAME [OPTIONS] [--] COMMAND [ARGUMENT...]'
  static override examples = ['<%= config.bin %> run -n -l nightly -- /usr/local/bin/backup']
  static override readonly runsCommand = true
  static override flags = {
    'with-lock': Flags.string({
      char: 'l',
      summary: 'the lock to hold; several: all or none',
      helpValue: 'NAME',
      helpGroup: 'LOCK',
      required: true,
      multiple: true,
      multipleNonGreedy: true,
    }),
    ...modeFlags,
    ...keyFlag,
    ...waitingFlags,
    ...timingFlags,
    ...childFlags,
    ...settingsFlags,
    explain: Flags.boolean({summary: 'print the timeline and what would be contacted, and end'}),
    ...speechFlags,
  }

  async run(): Promise<void> {
    const inheritance = takeInheritance()
    const signals = new SignalInbox(inheritance.ignoredSignals)
    const {flags, operands} = await this.parseArguments(Run)
    this.speakWith(flags, flags['with-lock'].join(', '))
    if (!flags.explain) this.reportTo(flags['status-file'])
    const settings = loadSettings(flags)
    const wanted = lockRequest(flags, settings)
    const request = runRequest(wanted, flags, operands, settings, inheritance, 'leash run -l NAME -- COMMAND')
    if (flags.explain) {
      const {lock, job} = request
      const plan = {request: lock, timeline: wishedTimeline(lock), command: job.argv}
      const tier = probeContainment(job.containment)
      return this.log(explain({...plan, containment: tier, settings: describeSettings(settings)}))
    }
    const {ports, close} = openPorts(settings, this.speaker)
    const outcome = await runUnderLock(request, ports, signals).finally(close)
    const message = runMessage(outcome, isTerminal() || flags.verbose, request.ending.leftovers)
    if (message !== undefined) this.speaker.warn(message)
    const status = runStatus(outcome, {conflict: flags['conflict-exit-code'], lost: flags['lost-exit-code']})
    this.end(status, runReport(request.lock.locks.map(({name}) => name).join(', '), outcome, status))
  }
}
