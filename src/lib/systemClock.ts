import {uptime} from 'node:os'
import {Clock, type TimeSource} from './core/clock.ts'

const system: TimeSource = {
  monotonicMs: () => Number(process.hrtime.bigint()) / 1e6,
  bootMs: () => uptime() * 1000,
  wallMs: () => Date.now(),
  schedule: (delayMs, wake) => {
    const timer = setTimeout(wake, delayMs)
    return () => clearTimeout(timer)
  },
}

/** A clock on this machine's clocks. `os.uptime()` counts suspend on Linux, where `process.hrtime` does not. */
export function systemClock(): Clock {
  return new Clock(system)
}
