/**
 * Bounded waits. A test never sleeps to hope: it waits for something it can name, and when that does not come
 * in time the failure says what was missing and, where it helps, what was seen instead.
 */

/** CLOCK_MONOTONIC in milliseconds with fractions. Every time stamp of test/support is of this clock, so all are comparable, across processes too. */
export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6

export class WaitedInVain extends Error {
  override readonly name = 'WaitedInVain'
}

interface Bound {
  readonly withinMs: number
  /** Adds what the reader of a failure wants to know: a log's tail, the last answer. */
  readonly detail?: () => string
}

const complaint = (what: string, {withinMs, detail}: Bound): string => {
  const seen = detail?.()
  return `waited ${withinMs} ms in vain for ${what}${seen ? `\n${seen}` : ''}`
}

/** The promise's outcome, or WaitedInVain after `withinMs`. The promise itself is not stopped. */
export const within = async <T>(what: string, promise: Promise<T>, bound: Bound): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new WaitedInVain(complaint(what, bound))), bound.withinMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Asks again and again until the probe answers something other than undefined or false. A probe that throws ends the wait. */
export const until = async <T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  {everyMs = 10, ...bound}: Bound & {readonly everyMs?: number},
): Promise<T> => {
  const endsAtMs = nowMs() + bound.withinMs
  for (;;) {
    const found = await probe()
    if (found !== undefined && found !== false) return found
    if (nowMs() > endsAtMs) throw new WaitedInVain(complaint(what, bound))
    await pause(everyMs)
  }
}

/** A pause of known length: for polls, and for faults whose length is the point. Not for waiting on an event. */
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
