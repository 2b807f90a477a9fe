import {type ChildProcessWithoutNullStreams, spawn} from 'node:child_process'
import {randomUUID} from 'node:crypto'
import {once} from 'node:events'
import {chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {text} from 'node:stream/consumers'
import {build} from 'esbuild'
import {onPath} from '../../bench/measure.ts'
import {writeLauncher} from '../../scripts/build/launcher.ts'
import type {Inheritance} from '../../src/lib/child/inheritance.ts'
import {type Found, killMarked, processesMarked} from './processes.ts'
import {scratchDirectory} from './scratch.ts'

const repository = path.resolve(import.meta.dirname, '../..')

/** What the program behind the launcher has inherited. */
export interface Said extends Omit<Inheritance, 'rawEnv'> {
  /** Each character a byte. */
  rawEnv: Record<string, string>
  args: string[]
  pid: number
  /** Node has taken a channel to the parent for its own. */
  hasChannel: boolean
  /** The names of the variables that Node itself sees. */
  variables: string[]
  /** The descriptors that are open when everything has been taken. */
  openNow: number[]
}

export interface ProbeOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Shell code that is run in the same process before the launcher, by bash. */
  readonly before?: string
  /** Shell code that is run in the same process between the launcher and Node. */
  readonly between?: string
}

const markVariable = 'TEST_LAUNCH'

/** Shells that may be `/bin/sh` somewhere, if this machine has them. */
export const shells = ['dash', 'bash', 'busybox'].filter((name) => onPath(name) !== undefined)

/**
 * A launcher whose part for Node only says what `takeInheritance` returns, in a directory of its own. The directory's name has
 * a space. `using` kills whatever is left of what was started.
 */
export class LaunchProbe implements Disposable {
  readonly root = scratchDirectory('launch probe')
  readonly launcher = path.join(this.root, 'bin/leash.cjs')
  readonly #mark = `${markVariable}=${randomUUID()}`

  static async make(): Promise<LaunchProbe> {
    const probe = new LaunchProbe()
    mkdirSync(path.join(probe.root, 'bin'))
    writeLauncher(repository, path.join(import.meta.dirname, 'launchProbe.cjs'), probe.launcher)
    await build({
      entryPoints: [path.join(repository, 'src/lib/child/inheritance.ts')],
      outfile: path.join(probe.root, 'bin/inheritance.cjs'),
      bundle: true,
      platform: 'node',
      format: 'cjs',
    })
    return probe
  }

  /** The launcher as a script of this shell, called `sh`. */
  through(shell: string): string[] {
    const directory = path.join(this.root, shell)
    const sh = path.join(directory, 'sh')
    mkdirSync(directory, {recursive: true})
    rmSync(sh, {force: true})
    symlinkSync(onPath(shell) ?? shell, sh)
    return [sh, this.launcher]
  }

  /** Starts it with pipes, as the command `run`, and does not wait for its end. */
  start(words: readonly string[], {env, before, between}: ProbeOptions = {}): ChildProcessWithoutNullStreams {
    const command = words.flatMap((word) => (word === this.launcher ? [word, 'run'] : [word]))
    const argv =
      before === undefined ? command : ['bash', '--norc', '-c', `${before}\nexec "$@"`, 'bash', ...command]
    const [name = '', value = ''] = this.#mark.split('=')
    const node = between === undefined ? path.dirname(process.execPath) : this.#nodeBehind(between)
    const [program = '', ...args] = argv
    return spawn(program, args, {
      detached: true,
      env: {PATH: `${node}:/usr/bin:/bin`, [name]: value, ...env},
    })
  }

  /** What the program inherits when it is started so. */
  async says(command: readonly string[], options: ProbeOptions = {}): Promise<Said> {
    const {status, stdout, stderr} = await this.ends(command, options)
    if (status !== 0 || stderr !== '') throw new Error(`it ended with ${status} and said: ${stderr}`)
    return JSON.parse(stdout) as Said
  }

  async ends(
    command: readonly string[],
    options: ProbeOptions = {},
  ): Promise<{status: number | null; stdout: string; stderr: string}> {
    const child = this.start(command, options)
    child.stdin.end()
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    return {status: child.exitCode, stdout, stderr}
  }

  /** All live processes that came from it. */
  processes(): Found[] {
    return processesMarked(this.#mark)
  }

  [Symbol.dispose](): void {
    killMarked(this.#mark)
    rmSync(this.root, {recursive: true})
  }

  /** A directory with a `node` that does something first. */
  #nodeBehind(code: string): string {
    const directory = path.join(this.root, randomUUID())
    mkdirSync(directory)
    const file = path.join(directory, 'node')
    writeFileSync(file, `#!/bin/sh\n${code}\nexec '${process.execPath}' "$@"\n`)
    chmodSync(file, 0o755)
    return directory
  }
}

/** The descriptors above 2 that this process itself was given to pass on to whatever it starts. */
export function passedOnByUs(): number[] {
  const flags = (descriptor: string): number =>
    parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8'))?.[1] ?? '', 8)
  return readdirSync('/proc/self/fd')
    .filter((descriptor) => {
      try {
        return Number(descriptor) > 2 && (flags(descriptor) & 0o2000000) === 0
      } catch {
        // It was the one by which we looked.
        return false
      }
    })
    .map(Number)
}
