import type {Inheritance} from '../../../src/lib/child/inheritance.ts'

/** What leash would hand on if it was started as these tests were. */
export const inheritance = (env: NodeJS.ProcessEnv = process.env): Inheritance => ({
  env: env as Record<string, string>,
  rawEnv: new Map(),
  descriptors: [],
  ignoredSignals: [],
  openFiles: undefined,
})
