/** What the kernel says about local engines: they have nothing of the environment of whoever has started them. */
import {readFileSync, readdirSync, readlinkSync} from 'node:fs'
import {isAlive} from './processes.ts'
import {until} from './wait.ts'

/** The processes that listen on a socket which was made in this directory, or below it. */
export const enginesIn = (directory: string): number[] => {
  const inodes = new Set(
    [...readFileSync('/proc/net/unix', 'utf8').matchAll(/ (\d+) (\/.*)$/gm)]
      .filter(([, , path]) => path?.startsWith(`${directory}/`))
      .map(([, inode]) => `socket:[${inode}]`),
  )
  // To look at everybody takes long, and who waits for an engine looks often.
  if (inodes.size === 0) return []
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && descriptorsOf(Number(entry)).some((one) => inodes.has(one)))
    .map(Number)
}

/** What the descriptors of a process lead to; nothing if there is no such process. */
export const descriptorsOf = (pid: number): string[] => {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((descriptor) => {
      try {
        return [readlinkSync(`/proc/${pid}/fd/${descriptor}`)]
      } catch {
        return []
      }
    })
  } catch {
    return []
  }
}

/** SIGKILL to all of them; resolves when they are gone. */
export const killEngines = async (directory: string): Promise<void> => {
  for (const pid of enginesIn(directory)) {
    process.kill(pid, 'SIGKILL')
    await until('the engine to be gone', () => !isAlive(pid), {withinMs: 5000})
  }
}
