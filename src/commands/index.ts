import type {Command} from '@oclif/core'
import {LOADERS} from './loaders.ts'

const loaded = Object.entries(LOADERS).map(async ([id, load]): Promise<[string, Command.Class]> => [
  id,
  (await load([])).default as unknown as Command.Class,
])

/** The table for oclif's `explicit` strategy; oclif reads it when it makes the manifest. */
export const COMMANDS: Readonly<Record<string, Command.Class>> = Object.fromEntries(await Promise.all(loaded))
