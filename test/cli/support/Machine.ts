import {spawnSync} from 'node:child_process'
import {chmodSync, mkdirSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {scratchDirectory} from '../../support/scratch.ts'

const asRoot = [
  'unshare',
  ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']),
  '--mount',
  'sh',
  '-c',
]

/**
 * A machine of its own as far as configuration goes: leash sees another /etc, in which the user of the tests is root
 * with a home below `root`. Needs a mount namespace.
 */
export class Machine implements Disposable {
  readonly root: string
  readonly home: string
  readonly userFile: string
  readonly #etc: string

  /** Whether this machine lets us have one: some containers do not. */
  static readonly isPossible =
    spawnSync('unshare', [...asRoot.slice(1), 'mount --bind /tmp /etc']).status === 0

  /** @param options as of `scratchDirectory` */
  constructor(options: {disk?: boolean} = {}) {
    this.root = scratchDirectory('machine', options)
    this.home = path.join(this.root, 'home')
    this.userFile = path.join(this.home, '.config/leash/leash.env')
    this.#etc = path.join(this.root, 'etc')
    this.write(path.join(this.#etc, 'passwd'), `root:x:0:0:root:${this.home}:/bin/sh\n`)
    mkdirSync(this.home)
  }

  /** For `LeashOptions.through`. */
  get through(): string[] {
    return [...asRoot, `mount --bind '${this.#etc}' /etc && exec "$@"`, 'sh']
  }

  writeUserFile(text: string): void {
    this.write(this.userFile, text)
  }

  /** leash sees it as /etc/leash/NAME. */
  writeSystemFile(text: string, name = 'leash.env'): string {
    return this.write(path.join(this.#etc, 'leash', name), text)
  }

  /** Modes are set and not left to the umask of whoever runs the tests. */
  write(file: string, text: string): string {
    mkdirSync(path.dirname(file), {recursive: true, mode: 0o755})
    writeFileSync(file, text)
    chmodSync(file, 0o644)
    return file
  }

  [Symbol.dispose](): void {
    rmSync(this.root, {recursive: true})
  }
}
