import {describe, test} from 'vitest'
import {ScriptPlace, type ScriptShell, scriptShells} from './ScriptPlace.ts'

/** Makes tests of scripts: each in all shells, in a place of its own. */
export const inEachShell =
  (etcd: () => {url: string}) =>
  (promise: string, check: (shell: ScriptShell, place: ScriptPlace) => Promise<void>): void => {
    describe.concurrent(promise, () => {
      test.each(scriptShells)('in $name', async (shell) => {
        await using place = new ScriptPlace(etcd())
        await check(shell, place)
      })
    })
  }
