import {accessSync, constants, lstatSync, renameSync, rmSync, writeFileSync} from 'node:fs'
import {dirname} from 'node:path'
import {LeashError} from '../core/errors.ts'

/**
 * Checks, before anything is touched, that a status file can be written, and removes an old one: a file that is there
 * afterwards speaks of this run. What is no regular file is left alone: a run as root must not replace /dev/null.
 *
 * @throws LeashError `usage`
 */
export function prepareStatusFile(path: string): void {
  try {
    if (path === '') throw new Error('the path is empty')
    accessSync(dirname(path), constants.W_OK | constants.X_OK)
    if (lstatSync(path, {throwIfNoEntry: false})?.isFile() === false) throw new Error('it is no regular file')
    rmSync(path, {force: true})
  } catch (error) {
    const {code, message} = error as NodeJS.ErrnoException
    const wayOut = 'give the path of a file in a directory that exists and that you can write to'
    throw new LeashError(
      'usage',
      `the status file ${JSON.stringify(path)} cannot be written: ${code ?? message}`,
      wayOut,
      {cause: error},
    )
  }
}

/**
 * Writes one JSON object and a newline, atomically: a reader sees the whole or nothing. int64 numbers are strings.
 *
 * @throws what the file system says
 */
export function writeStatusFile(path: string, status: Readonly<Record<string, unknown>>): void {
  const unfinished = `${path}.${process.pid}.tmp`
  const json = JSON.stringify(status, (_key, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  )
  try {
    // A new file, never through a link that somebody put there, as anybody can in /tmp.
    rmSync(unfinished, {force: true})
    writeFileSync(unfinished, `${json}\n`, {mode: 0o644, flag: 'wx'})
    renameSync(unfinished, path)
  } catch (error) {
    rmSync(unfinished, {force: true})
    throw error
  }
}
