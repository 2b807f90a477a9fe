/** What leash was given by whoever started it, and Node does not keep. */
export interface Inheritance {
  env: Readonly<Record<string, string>>
  rawEnv: ReadonlyMap<string, Buffer>
  descriptors: readonly number[]
  ignoredSignals: readonly number[]
  openFiles: string | undefined
}
export function takeInheritance(): Inheritance {
  return {
    env: process.env as Record<string, string>,
    rawEnv: new Map(),
    descriptors: [],
    ignoredSignals: [],
    openFiles: undefined,
  }
}
