import {type ChildProcess, spawn} from 'node:child_process'
import {accessSync, constants} from 'node:fs'
import {LeashError} from '../core/errors.ts'
import type {Inheritance} from './inheritance.ts'

/** What a stub becomes. */
export interface StubCommand {
  argv: readonly [string, ...string[]]
  /** What the job is to inherit from whoever started leash. */
  inheritance: Inheritance
  /** The name of the variable that marks the job's processes. */
  marker: string
  /** Stay in leash's session and process group, which the terminal is for. */
  foreground: boolean
}

/** A shell can name only these in a redirection. */
const digits = [3, 4, 5, 6, 7, 8, 9]
/** From 32 on they are real-time signals, which shells cannot ignore. */
const lastIgnorable = 31
/** What shells set by themselves. */
const shellsOwn = ['PWD', 'OLDPWD', 'IFS', 'PS1', 'PS4']
/**
 * Others than bash count SHLVL up at their start; bash counts it down again when it becomes a command, and then sets it if it
 * was not there: unless the name leads elsewhere.
 */
const noShellLevel = 'unset SHLVL\n[ -z "$BASH_VERSION" ] || declare -n "SHLVL=leash[0]" 2>/dev/null\n'
const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/

/**
 * A process that waits to become the command: a shell that reads what it is to do from its stdin. It ends when leash does.
 * So there is something to contain, and to guard, before the command can have forked anything.
 *
 * What Node takes from its children is given back by it: ignored signals, the limit of open files, variables that are not
 * UTF-8; descriptors above 2 go through Node under their own numbers.
 */
export class Stub {
  readonly process: ChildProcess & {pid: number}
  readonly #command: StubCommand
  /** Where the user's stdin waits. */
  readonly #stdinAt: number

  private constructor(child: ChildProcess & {pid: number}, command: StubCommand, stdinAt: number) {
    this.process = child
    this.#command = command
    this.#stdinAt = stdinAt
  }

  /**
   * Starts it.
   *
   * @throws LeashError `notExecutable` if no process can be started
   */
  static async start(command: StubCommand): Promise<Stub> {
    const {argv, inheritance, marker, foreground} = command
    const {descriptors} = inheritance
    const stdinAt = digits.find((digit) => !descriptors.includes(digit))
    if (stdinAt === undefined) throw cannotStart('the descriptors 3 to 9 are all open', 'close one of them')
    const stdio: ('pipe' | 'ignore' | number)[] = ['pipe', 1, 2]
    for (const descriptor of descriptors) stdio[descriptor] = descriptor
    stdio[stdinAt] = 0
    // `LEASH_LOCKS` of an outer run that holds several would speak of other locks than ours.
    const {LEASH_LOCKS: _outer, ...env} = inheritance.env
    const [shell, ...options] = shellFor(env)
    try {
      const child = spawn(shell, [...options, '-s', '--', ...argv], {
        detached: !foreground,
        env: {...env, [marker]: '1'},
        stdio: Array.from(stdio, (entry) => entry ?? 'ignore'),
      })
      if (child.pid === undefined) await new Promise((_, reject) => child.once('error', reject))
      // It may be dead when it is told something; its end says so.
      child.stdin?.on('error', () => {})
      // At once: it waits in the foreground, where a Ctrl-C that leash was told to ignore would end it.
      const ignored = inheritance.ignoredSignals.filter((signal) => signal <= lastIgnorable)
      if (ignored.length > 0) child.stdin?.write(`trap '' ${ignored.join(' ')}\n`)
      return new Stub(child as ChildProcess & {pid: number}, command, stdinAt)
    } catch (error) {
      // Node throws some faults (E2BIG: arguments and environment are too long) and emits the others.
      const {code, message} = error as NodeJS.ErrnoException
      throw cannotStart(
        code ?? message,
        'check the length of its arguments and the limits of this user',
        error,
      )
    }
  }

  get pid(): number {
    return this.process.pid
  }

  /** Lets it become the command, with more variables. If it cannot, it says so on stderr and ends with 126 or 127, as a shell does. */
  go(variables: Readonly<Record<string, string | undefined>>): void {
    const script = [
      ...givingBack(this.#command.inheritance),
      ...Object.entries(variables).map(([name, value]) =>
        value === undefined ? `unset ${name}\n` : assignment(name, value),
      ),
      this.#becoming(),
    ]
    this.process.stdin?.end(script.join(''), 'latin1')
  }

  /** The last line of its script. */
  #becoming(): string {
    const [name] = this.#command.argv
    const redirections = `<&${this.#stdinAt} ${this.#stdinAt}<&-`
    const becoming = `exec "$@" ${redirections}\n`
    if (!name.startsWith('-')) return becoming
    // Most shells want `--` before a name that looks like an option; dash would take that for the command.
    return `(PATH=; exec -- /bin/sh -c :) 2>/dev/null && exec -- "$@" ${redirections}\n${becoming}`
  }

  /** Lets it end without having become anything. */
  dismiss(): void {
    this.process.kill('SIGKILL')
    this.process.stdin?.destroy()
  }
}

/** The lines of a stub's script that give back what Node and the shell itself have taken or changed. */
function givingBack({openFiles, env, rawEnv}: Inheritance): string[] {
  return [
    ...(openFiles === undefined ? [] : [`ulimit -Sn ${openFiles}\n`]),
    ...shellsOwn.map((name) => (env[name] === undefined ? `unset ${name}\n` : assignment(name, env[name]))),
    ...(env['SHLVL'] === undefined
      ? [noShellLevel]
      : ['[ -n "$BASH_VERSION" ] || ', assignment('SHLVL', env['SHLVL'])]),
    ...[...rawEnv].map(([name, value]) => assignment(name, value)),
    // Sockets that a service manager addressed to us are the job's (sd_listen_fds(3)).
    ...(env['LISTEN_PID'] === String(process.pid) ? ['export LISTEN_PID=$$\n'] : []),
  ]
}

/** A line for a shell, a character for each byte. */
function assignment(name: string, value: string | Buffer): string {
  const bytes = Buffer.from(value).toString('latin1')
  return `export ${name}='${bytes.replaceAll("'", String.raw`'\''`)}'\n`
}

/**
 * The shell that waits. Most drop variables whose names are no identifiers when they exec something (`export -f`'s
 * functions, `spring.profiles.active`); bash keeps them. Its POSIX mode keeps functions from standing in for `exec`.
 */
function shellFor(env: Readonly<Record<string, string>>): readonly [string, ...string[]] {
  if (Object.keys(env).every((name) => identifier.test(name))) return ['/bin/sh']
  const bash = ['/bin/bash', '/usr/bin/bash', '/usr/local/bin/bash'].find((file) => isExecutable(file))
  return bash === undefined ? ['/bin/sh'] : [bash, '--posix']
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function cannotStart(reason: string, wayOut: string, cause?: unknown): LeashError {
  return new LeashError('notExecutable', `the command cannot be started: ${reason}`, wayOut, {cause})
}
