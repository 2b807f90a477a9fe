import {readFileSync} from 'node:fs'
import {uptime} from 'node:os'

/** A moment that processes of one boot agree on, suspend included. */
export interface BootTime {
  /** Which boot: readings of two boots cannot be compared. Empty where the kernel does not say. */
  bootId: string
  bootMs: number
}

/** Now. */
export function bootTime(): BootTime {
  return {bootId: bootId(), bootMs: uptime() * 1000}
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return ''
  }
}
