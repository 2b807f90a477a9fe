/** The processes of a script that `leash acquire --keep` has taken a lock for: of those that acquire.sh starts. */
import {readFileSync} from 'node:fs'
import type {Job} from '../support/Job.ts'
import {until} from '../support/wait.ts'

interface HandleFile {
  readonly keeper: {readonly pid: number; readonly guard: {readonly pid: number}}
}

const handlePath = (script: Job): string | undefined =>
  (script.status() as {handle?: string} | undefined)?.handle

const handleOf = (script: Job): HandleFile => {
  const path = handlePath(script)
  if (path === undefined) throw new Error(`${script.name} has no handle\n${script.describe()}`)
  return JSON.parse(readFileSync(path, 'utf8')) as HandleFile
}

export const keeperPid = (script: Job): number => handleOf(script).keeper.pid

/** Of the guard that stands now. */
export const keepersGuardPid = (script: Job): number => handleOf(script).keeper.guard.pid

/** The `leash` command of this name that the script is running; undefined before and after. */
export const runningCommand = (script: Job, name: 'acquire' | 'release'): number | undefined =>
  script.processes().find(({command}) => new RegExp(`leash\\.cjs ${name}\\b`).test(command))?.pid

/** Resolves when the script has come to this command; undefined if it has ended, or its job runs already. */
export const commandOrLater = (
  script: Job,
  name: 'acquire' | 'release',
): Promise<{pid: number | undefined}> =>
  until(
    `${script.name} to run leash ${name}`,
    () => {
      const pid = runningCommand(script, name)
      return (pid !== undefined || script.hasEnded || (name === 'acquire' && script.hasStarted)) && {pid}
    },
    {withinMs: 10_000, everyMs: 5},
  )

/** What stays of it when it has ended, until leash removes it after a day. */
export const handleFiles = (script: Job): string[] => {
  const path = handlePath(script)
  return path === undefined ? [] : [path, `${path}.sock`]
}
