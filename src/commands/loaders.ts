import type {LeashCommand} from '../LeashCommand.ts'

/**
 * All commands, by name; each gets its arguments. A command is loaded when it is the one to run: what `leash run` does not need
 * is not even evaluated. This is the only list; index.ts makes oclif's table of it.
 */
export const LOADERS: Readonly<
  Record<string, (argv: readonly string[]) => Promise<{default: typeof LeashCommand}>>
> = {
  acquire: async (argv) => {
    const {startKeeper} = await import('../earlyKeeper.ts')
    startKeeper(argv)
    return import('./acquire.ts')
  },
  campaign: async (argv) => {
    const {startKeeper} = await import('../earlyKeeper.ts')
    startKeeper(argv)
    return import('./campaign.ts')
  },
  check: () => import('./check.ts'),
  finish: () => import('./finish.ts'),
  keep: () => import('./keep.ts'),
  leader: () => import('./leader.ts'),
  observe: () => import('./observe.ts'),
  proclaim: () => import('./proclaim.ts'),
  release: () => import('./release.ts'),
  renew: () => import('./renew.ts'),
  resign: () => import('./resign.ts'),
  run: () => import('./run.ts'),
  serve: () => import('./serve.ts'),
}
