import {Flags} from '@oclif/core'
import {lookFlags, settingsFlags, speechFlags} from '../flags.ts'
import {LeashCommand} from '../LeashCommand.ts'
import {readPresent} from '../lib/core/observer.ts'
import {describeTicket, ticketFields} from '../lib/output/observed.ts'
import {isTerminal} from '../lib/output/stderr.ts'
import {Printer, StdoutClosed} from '../lib/output/stdout.ts'
import {lookRequest} from '../lookRequest.ts'
import {openStore} from '../openPorts.ts'

const none = 1

export default class Leader extends LeashCommand {
  static override summary = 'Print the value of the leader of an election.'
  static override description =
    'Ends with 1, and prints nothing, if there is none. Of a lock it prints the holder. What it prints was true when etcd was ' +
    'asked.'
  static override usage = 'leader NAME [OPTIONS]'
  static override examples = ['curl "http://$(<%= config.bin %> leader api)/status"']
  static override flags = {
    ...lookFlags,
    json: Flags.boolean({summary: 'print what is known as JSON'}),
    ...settingsFlags,
    ...speechFlags,
  }

  async run(): Promise<void> {
    const {flags, operands} = await this.parseArguments(Leader)
    this.speakWith(flags, operands[0])
    const request = lookRequest('leader', flags, operands)
    const {name, kind} = request
    const {store, clock} = openStore(request.settings, this.speaker)
    const {tickets} = await readPresent(request, 'first', {reader: store, clock}).finally(() => store.close())
    const [first] = tickets
    if (first === undefined) {
      if (isTerminal() || flags.verbose)
        this.speaker.warn(kind === 'lock' ? 'nobody holds it' : 'there is no leader')
      return this.end(none)
    }
    const printer = new Printer()
    if (flags.json) printer.print(`${JSON.stringify({name, ...ticketFields(kind, first)})}\n`)
    else if (kind === 'lock') printer.print(`${describeTicket(kind, first)}\n`)
    else printer.print(Buffer.concat([first.value, Buffer.from('\n')]))
    await printer.printed().catch((error: unknown) => {
      if (!(error instanceof StdoutClosed)) throw error
    })
  }
}
