import type {Config} from '@oclif/core'
import type {LeashCommand} from './LeashCommand.ts'
import {forgetCode} from './codeCache.ts'
import {LOADERS} from './commands/loaders.ts'
import {errorStatus} from './lib/child/exitStatus.ts'
import type {LeashErrorCode} from './lib/core/errors.ts'
import {Speaker} from './lib/output/stderr.ts'
import {packageJson, packageRoot} from './packageRoot.ts'

export {learnCode} from './codeCache.ts'

/**
 * How long the process may go on when the command has ended. A gRPC channel that is being closed can hold the event loop;
 * everything that matters to the lock has been waited for before, and what was printed to a pipe is read by then.
 */
const lingerMs = 100

/**
 * The command `leash`: finds the command in `argv` (without node and script), loads it and nothing else, and runs it.
 *
 * oclif's own entry would build its full configuration first, and would take a `--help` that belongs to the job for
 * ours. Here oclif's configuration and help are loaded only when help is asked for.
 * Never rejects. The exit status is left in `process.exitCode`.
 */
export async function main(argv: readonly string[]): Promise<void> {
  // What Node has to say of its interfaces is not for those who use leash.
  process.noDeprecation = true
  process.on('uncaughtException', (error) => {
    // The job is ended by another listener of `exit`, which comes first: nobody may be reading what we say.
    process.once('exit', () => sayBug(error))
    process.exit()
  })
  try {
    const [id = '', ...rest] = argv
    const load = Object.hasOwn(LOADERS, id) ? LOADERS[id] : undefined
    if (load) await runCommand(id, (await load(rest)).default, rest)
    else await answerWithoutCommand(argv)
  } catch (error) {
    sayBug(error)
  }
  setTimeout(() => process.exit(), lingerMs).unref()
}

async function runCommand(id: string, command: typeof LeashCommand, argv: string[]): Promise<void> {
  if (command.separate(argv).options.some(isHelpFlag)) {
    forgetCode()
    return showHelp([id])
  }
  command.id = id
  const {startConfig} = await import('./startConfig.ts')
  // What Command.run does, without its search for package.json, manifest, plugins and theme.
  const Startable = command as unknown as new (argv: string[], config: Config) => {_run(): Promise<unknown>}
  await new Startable(argv, startConfig(packageJson, packageRoot))._run()
}

async function answerWithoutCommand(argv: readonly string[]): Promise<void> {
  const [first] = argv
  if (first === undefined || (first.startsWith('-') && argv.some(isHelpFlag))) return showHelp([])
  if (first === '--version') {
    const {startConfig} = await import('./startConfig.ts')
    return console.log(startConfig(packageJson, packageRoot).userAgent)
  }
  forgetCode()
  const kind = first.startsWith('-') ? 'an option' : 'a command'
  fail('usage', `"${first}" is not ${kind} of leash; "leash --help" lists them`)
}

function sayBug(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error)
  fail('bug', `this is a bug in leash: ${message}; please report it`)
}

function fail(code: LeashErrorCode, text: string): void {
  new Speaker('normal').fault(text)
  process.exitCode = errorStatus(code)
}

const isHelpFlag = (arg: string): boolean => arg === '--help' || arg === '-h'

async function showHelp(argv: readonly string[]): Promise<void> {
  const {helpConfig} = await import('./startConfig.ts')
  const config = await helpConfig(packageJson, packageRoot)
  const {loadHelpClass} = await import('@oclif/core/help')
  const Help = await loadHelpClass(config)
  await new Help(config, config.pjson.oclif.helpOptions).showHelp([...argv])
}
