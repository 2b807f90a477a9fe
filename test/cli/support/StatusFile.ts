import {readFileSync, readdirSync, rmSync} from 'node:fs'
import path from 'node:path'
import {expect} from 'vitest'
import {scratchDirectory} from '../../support/scratch.ts'

/** A directory with room for a status file, and nothing else. */
export class StatusFile implements Disposable {
  readonly directory = scratchDirectory('status')
  readonly path = path.join(this.directory, 'status.json')

  /** The command line of a run that writes it. */
  runs(...args: readonly string[]): string[] {
    return ['run', '-l', 'x', '--status-file', this.path, ...args]
  }

  /** What it says: a single line, in the only file of its directory. */
  report(): Record<string, unknown> {
    const text = readFileSync(this.path, 'utf8')
    expect(text).toMatch(/^\{.*\}\n$/)
    expect(readdirSync(this.directory)).toEqual(['status.json'])
    return JSON.parse(text) as Record<string, unknown>
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, {recursive: true})
  }
}
