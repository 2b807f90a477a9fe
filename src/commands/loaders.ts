import type {Command} from '@oclif/core'

/**
 * All commands, by name. A command is loaded when it is the one to run: what `leash run` does not need is not even
 * evaluated. This is the only list; index.ts makes oclif's table of it.
 */
export const LOADERS: Readonly<Record<string, () => Promise<{default: Command.Class}>>> = {
  finish: () => import('./finish.ts'),
  run: () => import('./run.ts'),
}
