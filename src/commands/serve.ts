import {Flags} from '@oclif/core'
import {speechFlags} from '../flags.ts'
import {LeashCommand} from '../LeashCommand.ts'
import {systemWorld, userName} from '../lib/config/world.ts'
import {LeashError} from '../lib/core/errors.ts'
import {localPlace} from '../lib/local/place.ts'
import {serveLocal, serveOnDemand} from '../serveLocal.ts'

export default class Serve extends LeashCommand {
  static override summary = "Serve this user's local locks in the foreground."
  static override description =
    'Commands with --local start an engine in the background where none runs; this is for a service, or to see why one does ' +
    'not start. It takes over from an engine that runs, and no lock is lost by that. Ends with 0 at TERM or INT, or when ' +
    'another engine has taken over.'
  static override usage = 'serve [OPTIONS]'
  static override examples = ['<%= config.bin %> serve']
  static override flags = {'on-demand': Flags.boolean({hidden: true}), ...speechFlags}

  async run(): Promise<void> {
    const {flags, operands} = await this.parseArguments(Serve)
    this.speakWith(flags)
    if (flags['on-demand']) return serveOnDemand()
    const [operand] = operands
    if (operand !== undefined) {
      const message = `serve was given ${JSON.stringify(operand)}, and there is nothing to name`
      throw new LeashError('usage', message, 'leave it out: there is one engine for a user')
    }
    const place = localPlace(systemWorld())
    const tell = (): void =>
      this.log(`serves user ${userName()} on this machine at unix://${place.socketPath}`)
    if ((await serveLocal(place, tell)) === 'superseded')
      this.speaker.warn('another engine of this user has taken over')
  }
}
