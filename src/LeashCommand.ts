import {Command, type Interfaces} from '@oclif/core'
import {optionsLength, separateOptions} from './commandLine.ts'
import {errorStatus} from './lib/child/exitStatus.ts'
import {failureReport} from './lib/child/runReport.ts'
import {LeashError} from './lib/core/errors.ts'
import {prepareStatusFile, writeStatusFile} from './lib/output/statusFile.ts'
import {Speaker} from './lib/output/stderr.ts'
import {usageError} from './usageError.ts'

/** The base of every command: options end at the first operand, and a fault is one line on stderr and an exit status. */
export abstract class LeashCommand extends Command {
  /** Whether options end at the first operand, because it is a command with options of its own; else they stand anywhere. */
  static readonly runsCommand: boolean = false
  protected speaker = new Speaker('normal')
  #statusFile: string | undefined
  #subject = ''

  /** Which of the arguments are options of ours, and which are operands. */
  static separate(argv: readonly string[]): {options: string[]; operands: string[]; behind?: string[]} {
    const flags = {...this.baseFlags, ...this.flags}
    if (!this.runsCommand) return separateOptions(argv, flags)
    const length = optionsLength(argv, flags)
    return {options: argv.slice(0, length), operands: argv.slice(length)}
  }

  /**
   * Parses the options, and returns the operands as they are; `behind`: those after a `--`, if there is one.
   *
   * @throws LeashError `usage`
   */
  protected async parseArguments<C extends typeof LeashCommand>(
    command: C,
  ): Promise<{flags: Interfaces.InferredFlags<C['flags']>; operands: string[]; behind?: string[]}> {
    const {options, ...rest} = command.separate(this.argv)
    try {
      const {flags} = await this.parse(command, options)
      return {flags: flags as Interfaces.InferredFlags<C['flags']>, ...rest}
    } catch (error) {
      throw usageError(error, this.id)
    }
  }

  /** From now on leash speaks so much, and of this subject. */
  protected speakWith({quiet, verbose}: {quiet: boolean; verbose: boolean}, subject = ''): void {
    this.#subject = subject
    this.speaker = new Speaker(quiet ? 'quiet' : verbose ? 'verbose' : 'normal', subject)
  }

  /**
   * From now on the end, however it comes, is written to this file.
   *
   * @throws LeashError `usage` if it cannot be
   */
  protected reportTo(statusFile: string | undefined): void {
    if (statusFile !== undefined) prepareStatusFile(statusFile)
    this.#statusFile = statusFile
  }

  /** Ends with this status, and writes the report into the status file if there is to be one. */
  protected end(exitStatus: number, report: Readonly<Record<string, unknown>> = {}): void {
    process.exitCode = exitStatus
    if (this.#statusFile === undefined) return
    try {
      writeStatusFile(this.#statusFile, report)
    } catch (error) {
      this.speaker.warn(
        `the status file could not be written (${String(error)}); make room for ${this.#statusFile}`,
      )
    }
  }

  protected override catch(error: Error): Promise<void> {
    const fault = error instanceof LeashError ? error : bug(error)
    this.speaker.fault(`${fault.message}; ${fault.wayOut}`)
    const exitStatus = errorStatus(fault.code)
    this.end(exitStatus, failureReport(this.#subject, fault, exitStatus))
    return Promise.resolve()
  }
}

function bug(error: unknown): LeashError {
  const message = error instanceof Error ? error.message : String(error)
  return new LeashError('bug', `this is a bug in leash: ${message}`, 'please report it', {cause: error})
}
