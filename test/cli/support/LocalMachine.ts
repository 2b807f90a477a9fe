import {existsSync, readdirSync, realpathSync, symlinkSync} from 'node:fs'
import path from 'node:path'
import {until} from '../../support/wait.ts'
import {enginesIn, killEngines} from '../../support/engines.ts'
import {type Ended, Leash, type LeashOptions, leash} from './leash.ts'
import {Machine} from './Machine.ts'

/** What a job does that says when it runs, and ends when its stdin does. */
export const untilToldJob = ['sh', '-c', 'echo runs $LEASH_FENCE; read line; exit 0']

/** A machine of its own whose user has local locks. `await using` kills the engines. */
export class LocalMachine implements AsyncDisposable {
  static readonly isPossible = Machine.isPossible
  readonly machine: Machine
  /** Where the engine's directory is. */
  readonly state: string

  /** @param options as of `scratchDirectory` */
  constructor(options: {disk?: boolean} = {}) {
    this.machine = new Machine(options)
    this.state = path.join(this.machine.home, '.local/state/leash')
    // Where /usr/bin/awk leads to, which a keeper's guard needs.
    const alternative = this.machine.write(path.join(this.machine.root, 'etc/alternatives/README'), '')
    symlinkSync(realpathSync('/usr/bin/awk'), path.join(path.dirname(alternative), 'awk'))
  }

  /** The built command on it. Its locks are local if it is not told otherwise. */
  start(args: readonly string[], options: LeashOptions = {}): Leash {
    return new Leash(args, this.#on(options))
  }

  /** The same, to its end. */
  run(args: readonly string[], options: LeashOptions = {}): Promise<Ended> {
    return leash(args, this.#on(options))
  }

  /** Somebody who holds a lock until its stdin ends. */
  async holder(lock: string, options: readonly string[] = [], more: LeashOptions = {}): Promise<Leash> {
    const holder = this.start(['run', '--local', ...options, '-l', lock, '--', ...untilToldJob], more)
    await holder.says(/^runs/m)
    return holder
  }

  /** Where its engine listens, or did. */
  socket(): Promise<string> {
    const sockets = (): string[] =>
      readdirSync(this.state).map((name) => path.join(this.state, name, 'socket'))
    return until('a socket', () => sockets().find((file) => existsSync(file)), {withinMs: 10_000})
  }

  engines(): number[] {
    return enginesIn(this.machine.root)
  }

  /** Resolves with the one engine that there is, when it is none of these. */
  async engine(but: readonly number[] = []): Promise<number> {
    return until('an engine', () => this.engines().find((pid) => !but.includes(pid)), {withinMs: 10_000})
  }

  /** SIGKILL, as systemd does with all that is in a unit. Resolves with who was killed. */
  async killEngine(): Promise<number> {
    const [engine = 0] = this.engines()
    await killEngines(this.machine.root)
    return engine
  }

  #on({through = [], ...options}: LeashOptions): LeashOptions {
    return {...options, through: [...through, ...this.machine.through]}
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await killEngines(this.machine.root)
    this.machine[Symbol.dispose]()
  }
}
