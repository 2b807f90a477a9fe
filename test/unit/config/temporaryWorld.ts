import {chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {LeashError} from '../../../src/lib/core/errors.ts'
import type {World} from '../../../src/lib/config/world.ts'

/** An uid that owns nothing here and is nobody's; 65534 would be that of "nobody". */
export const strangerUid = 65_533

/** A home and a system directory of real files, which are gone when the test ends. */
export class TemporaryWorld implements World, Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'leash-config-'))
  readonly environment: Record<string, string | undefined> = {}
  readonly uid = process.geteuid?.() ?? -1
  readonly home = join(this.root, 'home')
  readonly systemDirectory = join(this.root, 'etc')
  isTold = false

  get userDirectory(): string {
    return join(this.home, '.config/leash')
  }

  userFile(text: string, name = 'leash.env'): string {
    return this.write(join(this.userDirectory, name), text)
  }

  systemFile(text: string, name = 'leash.env'): string {
    return this.write(join(this.systemDirectory, name), text)
  }

  /** Modes are set and not left to the umask of whoever runs the tests. */
  write(path: string, text: string): string {
    this.directory(dirname(path))
    writeFileSync(path, text)
    chmodSync(path, 0o644)
    return path
  }

  directory(path: string): string {
    mkdirSync(path, {recursive: true})
    chmodSync(path, 0o755)
    return path
  }

  [Symbol.dispose](): void {
    rmSync(this.root, {recursive: true, force: true})
  }
}

/** Runs as a user for whom modes count, even where the tests run as root. */
export function asOrdinaryUser<T>(action: () => T): T {
  if (process.geteuid?.() !== 0) return action()
  process.seteuid?.(strangerUid)
  try {
    return action()
  } finally {
    process.seteuid?.(0)
  }
}

/** What an action is refused with. */
export function refusal(action: () => unknown): {code: string; message: string; wayOut: string} {
  try {
    action()
  } catch (error) {
    if (!(error instanceof LeashError)) throw error
    return {code: error.code, message: error.message, wayOut: error.wayOut}
  }
  throw new Error('nothing was refused')
}
