import {Flags} from '@oclif/core'
import {lookFlags, settingsFlags, speechFlags} from '../flags.ts'
import {LeashCommand} from '../LeashCommand.ts'
import {signalStatus} from '../lib/child/exitStatus.ts'
import {takeInheritance} from '../lib/child/inheritance.ts'
import {Interrupted, SignalInbox} from '../lib/child/signalInbox.ts'
import {beginObservation} from '../lib/core/observation.ts'
import {type Observed, observe, readPresent} from '../lib/core/observer.ts'
import {changeLine, newsJson, observerMessage} from '../lib/output/observed.ts'
import {Printer, StdoutClosed} from '../lib/output/stdout.ts'
import {lookRequest, staleAfterMs} from '../lookRequest.ts'
import {openStore} from '../openPorts.ts'

export default class Observe extends LeashCommand {
  static override summary = 'Print who leads an election or holds a lock, and then each change.'
  static override description =
    'One line for each: elected, proclaimed (a new value), vacant. It goes on through outages of etcd, repeats nothing, and ' +
    'says when what it has shown may be stale. TIME is 500ms, 10s, 5m or 1h30m; a bare number is seconds.'
  static override usage = 'observe NAME [OPTIONS]'
  static override examples = ['<%= config.bin %> observe api --json | while read -r line; do ...; done']
  static override flags = {
    ...lookFlags,
    once: Flags.boolean({summary: 'print the present state, and end'}),
    'stale-after': Flags.string({
      summary: 'warn when etcd has not confirmed it for so long [15s]',
      helpValue: 'TIME',
    }),
    json: Flags.boolean({summary: 'print one JSON object per line'}),
    ...settingsFlags,
    ...speechFlags,
  }

  async run(): Promise<void> {
    const signals = new SignalInbox(takeInheritance().ignoredSignals)
    const {flags, operands} = await this.parseArguments(Observe)
    this.speakWith(flags, operands[0])
    const request = {
      ...lookRequest('observe', flags, operands),
      staleAfterMs: staleAfterMs(flags['stale-after']),
    }
    const {store, clock} = openStore(request.settings, this.speaker)
    const printer = new Printer()
    const tell = (news: Observed): void => {
      const message = observerMessage(news)
      if (message !== undefined) this.speaker.warn(message)
      printer.print((flags.json ? newsJson : changeLine)(request.kind, news, clock.wallMs()) ?? '')
    }
    const ports = {reader: store, clock, tell}
    const signal = AbortSignal.any([signals.interrupted, printer.failed])
    try {
      if (!flags.once) return await observe(request, ports, signal)
      tell(beginObservation(await readPresent(request, 'first', ports, signal)).change)
      await printer.printed()
    } catch (error) {
      if (error instanceof Interrupted) return this.end(signalStatus(error.signal))
      if (!(error instanceof StdoutClosed)) throw error
    } finally {
      store.close()
    }
  }
}
