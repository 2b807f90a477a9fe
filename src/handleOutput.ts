import {writeSync} from 'node:fs'
import {beforeEnd} from './commandLine.ts'
import {describeLock, lockVariables} from './lib/child/lockVariables.ts'
import {LeashError} from './lib/core/errors.ts'
import {leaseHex} from './lib/core/identifiers.ts'
import type {Handle} from './lib/handle/handle.ts'
import {assignments, failureForEval} from './lib/output/shellWords.ts'

const stdout = 1

/** The forms in which `acquire` says what it has left: a path; assignments for `eval`; JSON. */
export type HandleForm = 'path' | 'export' | 'json'

/**
 * What `acquire` prints, once. In the form `export` it promises that something is printed whatever comes: without assignments
 * `(exit N)`, because an `eval` of nothing succeeds.
 */
export class HandleOutput {
  #form: HandleForm = 'path'
  #isPrinted = false

  /** @param argv as it was given: also for wrong options `eval` gets an answer */
  constructor(argv: readonly string[]) {
    if (!beforeEnd(argv).includes('--export')) return
    process.once('exit', (status) => {
      if (!this.#isPrinted) writeSync(stdout, failureForEval(status || 1))
    })
  }

  /** The form that counts from now on. */
  choose(form: HandleForm): void {
    this.#form = form
  }

  /** @throws LeashError `usage` if nobody can read it: then nobody knows of the handle */
  print(handle: Handle, path: string): void {
    try {
      writeSync(stdout, this.#text(handle, path))
      this.#isPrinted = true
    } catch (cause) {
      const reason = (cause as NodeJS.ErrnoException).code ?? String(cause)
      const wayOut = 'let somebody read what acquire prints'
      throw new LeashError(
        'usage',
        `the handle cannot be printed (${reason}), so the lock was given back`,
        wayOut,
        {
          cause,
        },
      )
    }
  }

  #text({locks, lease, election, ...handle}: Handle, path: string): string {
    const [first, ...others] = locks.map(({name, key, createRevision}) =>
      describeLock(name, {key, lease, createRevision}),
    )
    if (first === undefined) throw new Error('a handle without a lock')
    switch (this.#form) {
      case 'path':
        return `${path}\n`
      case 'export': {
        const variables = Object.entries({
          LEASH_HANDLE: path,
          ...lockVariables([first, ...others], lease, election ? 'election' : 'lock'),
        })
        const set = variables.filter((entry): entry is [string, string] => entry[1] !== undefined)
        const unset = variables.flatMap(([name, value]) => (value === undefined ? [name] : []))
        return assignments(Object.fromEntries(set), unset)
      }
      case 'json': {
        const all = [first, ...others].map((lock) => ({...lock, fence: lock.fence.toString()}))
        const keeper = handle.keeper?.pid ?? null
        return `${JSON.stringify({handle: path, lease: leaseHex(lease), locks: all, ttlMs: handle.ttlMs, keeper})}\n`
      }
    }
  }
}
