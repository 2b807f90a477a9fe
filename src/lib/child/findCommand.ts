import {accessSync, constants, statSync} from 'node:fs'
import {join} from 'node:path'
import {LeashError} from '../core/errors.ts'

/**
 * Checks that a command can be found and executed before anything is touched, as a shell does when it has come to it.
 * `execvp` decides in the end.
 *
 * @param path the value of PATH; its absence and empty parts mean what they mean to `execvp`
 * @throws LeashError `notFound` or `notExecutable`
 */
export function findCommand(file: string, path = '/bin:/usr/bin'): void {
  const candidates = file.includes('/')
    ? [file]
    : path.split(':').map((directory) => join(directory || '.', file))
  const found = file === '' ? [] : candidates.filter((candidate) => isThere(candidate))
  if (found.some((candidate) => isExecutable(candidate))) return
  if (found.length === 0) {
    throw new LeashError('notFound', `command "${file}" was not found`, 'check the name and PATH')
  }
  throw new LeashError('notExecutable', `command "${file}" is not executable`, `check ${found[0]}`)
}

function isThere(path: string): boolean {
  try {
    return statSync(path, {throwIfNoEntry: false}) !== undefined
  } catch {
    // A directory that may not be searched hides what is in it; a component that is no directory has nothing.
    return false
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
