import type {Storage} from './storage.ts'

export function openLogStorage(directory: string): Promise<Storage> {
  throw new Error(`not yet: ${directory}`)
}
