import {chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {scratchDirectory} from '../../support/scratch.ts'
import {keysUnder} from '../../support/etcdGateway.ts'
import {until} from '../../support/wait.ts'
import {type Ended, Leash, leashProgram} from './leash.ts'

/** Where scripts/debian-setup has put the shells, and jq. */
export const shellPrograms = path.resolve(import.meta.dirname, '../../../.cache/shells/bin')

/** A shell with its options. One that is missing fails its tests. */
export interface ScriptShell {
  readonly words: readonly [string, ...string[]]
  readonly name: string
}

/** Each shell with and without `set -e`. */
export const scriptShells: readonly ScriptShell[] = (
  [['bash'], ['dash'], ['zsh', '-f'], ['busybox', 'ash']] as const
).flatMap((words) =>
  [[...words] as const, [...words, '-e'] as const].map((each) => ({words: each, name: each.join(' ')})),
)

/**
 * A directory for a script and the steps that it takes, with `leash` on the PATH, and locks that no other place has. `await
 * using` removes it.
 */
export class ScriptPlace implements AsyncDisposable {
  readonly #directory = scratchDirectory('script')
  readonly #prefix = `${path.basename(this.#directory)}/`
  readonly #etcdUrl: string
  readonly #running: Leash[] = []

  constructor(etcd: {url: string}) {
    this.#etcdUrl = etcd.url
    mkdirSync(this.file('bin'))
    symlinkSync(leashProgram, this.file('bin/leash'))
  }

  file(name: string): string {
    return path.join(this.#directory, name)
  }

  /** A command of the scripts here: `./NAME`, or `bin/NAME`, which is on the PATH. Each call of it is noted. */
  step(name: string, body = ''): void {
    mkdirSync(path.dirname(this.file(name)), {recursive: true})
    writeFileSync(
      this.file(name),
      `#!/bin/sh\necho "${path.basename(name)} $*" >>'${this.file('ran')}'\n${body}\n`,
    )
    chmodSync(this.file(name), 0o755)
  }

  /** The steps that were taken, in order, with their arguments. */
  get ran(): string[] {
    if (!existsSync(this.file('ran'))) return []
    const calls = readFileSync(this.file('ran'), 'utf8').trimEnd().split('\n')
    return calls.map((call) => call.trimEnd())
  }

  /** What locks are told apart by, and where they are. */
  get env(): Record<string, string> {
    const PATH = [this.file('bin'), path.dirname(process.execPath), process.env['PATH'], shellPrograms].join(
      ':',
    )
    return {LEASH_ENDPOINTS: this.#etcdUrl, LEASH_PREFIX: this.#prefix, PATH}
  }

  start({words: [shell, ...options]}: ScriptShell, script: string, env: Record<string, string> = {}): Leash {
    writeFileSync(this.file('script'), script)
    const program = path.join(shellPrograms, shell)
    const running = new Leash([], {
      through: [program, ...options, this.file('script')],
      env: {...this.env, ...env},
      cwd: this.#directory,
      input: '',
    })
    this.#running.push(running)
    return running
  }

  run(shell: ScriptShell, script: string, env: Record<string, string> = {}): Promise<Ended> {
    return this.start(shell, script, env).end()
  }

  /** The fencing tokens of all who want this lock, the holder's first. */
  async fences(lock: string): Promise<string[]> {
    const tickets = await keysUnder(this.#etcdUrl, `${this.#prefix}lock/${lock}/`)
    return tickets.map(({createRevision}) => createRevision)
  }

  /** Resolves when no ticket and no mark is left. */
  async isFree(): Promise<void> {
    const keys = async (): Promise<boolean> => (await keysUnder(this.#etcdUrl, this.#prefix)).length === 0
    await until('all locks of the script to be free', keys, {withinMs: 5000})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of this.#running) await running[Symbol.asyncDispose]()
    rmSync(this.#directory, {recursive: true})
  }
}
