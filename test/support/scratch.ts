import {accessSync, constants, mkdtempSync} from 'node:fs'
import {createServer} from 'node:net'
import {tmpdir} from 'node:os'
import path from 'node:path'

/**
 * Where test data lives: memory, if the machine offers it. Several etcds on one disk wait for each other's fsync,
 * which makes leaders change by themselves; what is tested here is behaviour in time, not the disk.
 */
const base = (disk: boolean): string => {
  // By its meaning, it survives a boot.
  if (disk) return '/var/tmp'
  try {
    accessSync('/dev/shm', constants.W_OK)
    return '/dev/shm'
  } catch {
    return tmpdir()
  }
}

/**
 * A new directory of one's own. Whoever makes it removes it.
 *
 * @param disk on a disk, for what is measured
 */
export const scratchDirectory = (subject: string, {disk = false} = {}): string =>
  mkdtempSync(path.join(base(disk), `leash-${subject}-`))

const firstPort = 10_000
const portCount = 5_000

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })

/**
 * Loopback ports that nobody listens on, from below the range that the kernel gives to outgoing connections: so
 * a port stays ours while its server is down. Another process may still take one first: starting retries.
 */
export const freePorts = async (count: number): Promise<number[]> => {
  const ports = new Set<number>()
  while (ports.size < count) {
    const port = firstPort + Math.floor(Math.random() * portCount)
    if (await isFree(port)) ports.add(port)
  }
  return [...ports]
}
