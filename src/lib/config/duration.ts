import {type Origin, refused} from './origin.ts'

const secondMs = 1000
const minuteMs = 60 * secondMs
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

/** What a duration may be, and the reason, which ends the sentence that refuses a longer one. */
export type DurationBounds = {
  readonly zeroAllowed: boolean
  readonly maxMs: number
  /** A clause that begins with `because`. */
  readonly because: string
}

/** The bounds of a duration that has no narrower ones. */
export const usualBounds: DurationBounds = {
  zeroAllowed: false,
  maxMs: 24 * dayMs,
  because: 'because a longer one is more likely a slip',
}

const number = String.raw`(\d+(?:\.\d+)?|\.\d+)`
const bareNumber = new RegExp(`^${number}$`)
const withUnits = new RegExp(
  `^(?=.)(?:${number}d)?(?:${number}h)?(?:${number}m)?(?:${number}s)?(?:${number}ms)?$`,
)
const unitsMs = [dayMs, hourMs, minuteMs, secondMs, 1]

const examples = '500ms, 10s, 5m or 1h30m (a bare number is seconds)'

/**
 * Reads a duration, in milliseconds: numbers with the units `d`, `h`, `m`, `s` and `ms`, each at most once and the larger
 * first, or a bare number of seconds; fractions are allowed and rounded to the millisecond.
 *
 * @param origin where the text came from; it begins the message and decides the code
 * @throws LeashError `usage` (from a flag) or `config`, when the text is no duration, is negative, is zero where zero means
 *   nothing, is shorter than 1 ms, or is longer than the bounds allow
 */
export function parseDuration(
  text: string,
  origin: Origin = {kind: 'default'},
  bounds: DurationBounds = usualBounds,
): number {
  const given = {text, origin}
  const ms = readMs(text)
  if (ms === undefined) {
    if (text.startsWith('-') && readMs(text.slice(1)) !== undefined)
      throw refused(given, 'is negative', `write a positive duration, for example ${examples}`)
    throw refused(given, 'is not a duration', `write for example ${examples}`)
  }
  if (ms === 0 && !bounds.zeroAllowed)
    throw refused(given, 'must be longer than zero', `write for example ${examples}`)
  if (ms > 0 && ms < 1) throw refused(given, 'is shorter than 1ms', `write for example ${examples}`)
  if (ms > bounds.maxMs)
    throw refused(
      given,
      `is longer than ${formatDuration(bounds.maxMs)}, which is the limit ${bounds.because}`,
      `write ${formatDuration(bounds.maxMs)} or less`,
    )
  return Math.round(ms)
}

/** Writes a finite number of milliseconds as `parseDuration` reads it, rounded to 1 ms: `500ms`, `1.5s`, `1h30m`, `0s`. */
export function formatDuration(ms: number): string {
  const whole = Math.round(Math.abs(ms))
  if (whole === 0) return '0s'
  const sign = ms < 0 ? '-' : ''
  if (whole < secondMs) return `${sign}${whole}ms`
  const hours = Math.floor(whole / hourMs)
  const minutes = Math.floor((whole % hourMs) / minuteMs)
  const seconds = (whole % minuteMs) / secondMs
  return (
    sign +
    (hours > 0 ? `${hours}h` : '') +
    (minutes > 0 ? `${minutes}m` : '') +
    (seconds > 0 ? `${seconds}s` : '')
  )
}

function readMs(text: string): number | undefined {
  const bare = bareNumber.exec(text)
  if (bare) return Number(bare[1]) * secondMs
  const parts = withUnits.exec(text)
  if (!parts) return undefined
  return unitsMs.reduce((sum, unitMs, index) => sum + Number(parts[index + 1] ?? 0) * unitMs, 0)
}
