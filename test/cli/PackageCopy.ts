import {type ChildProcessWithoutNullStreams, spawn} from 'node:child_process'
import {once} from 'node:events'
import {cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import path from 'node:path'
import {text} from 'node:stream/consumers'
import {plainEnvironment} from '../../bench/measure.ts'
import {bundle} from '../../scripts/build/bundle.ts'

export const repository = path.resolve(import.meta.dirname, '../..')

export interface Ended {
  status: number | null
  stdout: string
  stderr: string
}

/**
 * The package as npm would install it, with a bundle of the sources as they are now and a code cache of its own. Below
 * the repository, so that it finds its dependencies as an installed package does.
 */
export class PackageCopy implements Disposable {
  readonly root: string

  private constructor(root: string) {
    this.root = root
  }

  static async make(): Promise<PackageCopy> {
    mkdirSync(path.join(repository, '.cache'), {recursive: true})
    const copy = new PackageCopy(mkdtempSync(path.join(repository, '.cache/package-')))
    for (const part of ['bin/leash.cjs', 'bin/guard.sh', 'package.json', 'oclif.manifest.json']) {
      cpSync(path.join(repository, part), path.join(copy.root, part))
    }
    const generated = path.join(copy.root, 'generated')
    await bundle({root: repository, generated, outfile: copy.bundle})
    return copy
  }

  get launcher(): string {
    return path.join(this.root, 'bin/leash.cjs')
  }

  get bundle(): string {
    return path.join(this.root, 'dist/leash.cjs')
  }

  /** The code caches beside the bundle. */
  get caches(): string[] {
    const directory = path.join(this.root, '.cache/code')
    try {
      return readdirSync(directory).map((name) => path.join(directory, name))
    } catch {
      return []
    }
  }

  /** The hash in the bundle's first line, with which the names of its caches begin. */
  get hash(): string {
    return readFileSync(this.bundle, 'latin1').slice(2, 18)
  }

  forgetCaches(): void {
    rmSync(path.join(this.root, '.cache'), {recursive: true, force: true})
  }

  leash(...args: string[]): Promise<Ended> {
    return this.run([process.execPath, this.launcher, ...args])
  }

  /** Starts leash with pipes, and does not wait for its end. */
  start(args: string[], environment: Record<string, string>): ChildProcessWithoutNullStreams {
    return spawn(process.execPath, [this.launcher, ...args], {env: plainEnvironment(environment)})
  }

  /** Runs a program with an environment that says nothing to Node or leash but what is given. */
  async run([program = '', ...args]: string[], environment: Record<string, string> = {}): Promise<Ended> {
    const child = spawn(program, args, {
      env: plainEnvironment(environment),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    return {status: child.exitCode, stdout, stderr}
  }

  [Symbol.dispose](): void {
    rmSync(this.root, {recursive: true})
  }
}
