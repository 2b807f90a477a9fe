import type {LockRequest} from '../core/lock.ts'
import {type Mode, exclusive} from '../core/mode.ts'
import type {Timeline} from '../core/timeline.ts'
import {printable} from './escape.ts'

/** A line of settings or arguments may be long; it is cut where nobody reads on. */
const longestLine = 2000

/** What `--explain` explains. */
export interface Plan {
  request: LockRequest
  /** For what is asked for; etcd may raise the TTL, and never lowers it. */
  timeline: Timeline
  command: readonly string[]
  /** The tier. */
  containment: string
  /** One line each. */
  settings: readonly string[]
}

/** The timeline with numbers, and what would be contacted, as text of several lines. Contacts nobody. */
export function explain({request: {locks}, timeline, command, containment, settings}: Plan): string {
  const {lockDelayMs} = timeline
  const rows: [number, string][] = [
    [0, 'a renewal is sent, and confirmed (the clock below starts when it was sent)'],
    [timeline.renewAfterMs, `the next renewal is sent; an attempt may take ${seconds(timeline.attemptMs)}`],
    [timeline.warnAfterMs, 'if none was confirmed: a warning'],
    [timeline.termAfterMs, `TERM to the job, which has ${seconds(timeline.graceMs)} of grace`],
    [
      timeline.guardAfterMs,
      'KILL to the job by the guard, if leash has not even sent TERM (it was killed, or is frozen)',
    ],
    [
      timeline.killAfterMs,
      `KILL to the job, ${seconds(timeline.killMarginMs)} before the end of our entitlement`,
    ],
    [timeline.entitledMs, 'the job was seen dead; our entitlement ends'],
    [
      timeline.ttlMs,
      `the lease may expire, not before${lockDelayMs > 0 ? ` (lock-delay ${seconds(lockDelayMs)})` : ''}`,
    ],
  ]
  // With hardly any grace, the guard comes after KILL.
  rows.sort(([oneMs], [otherMs]) => oneMs - otherMs)
  const width = Math.max(...rows.map(([atMs]) => seconds(atMs).length))
  return [
    ...locks.flatMap(({name, queuePrefix, markKey, besideMarks, mode}) => [
      `lock      ${name}${describeMode(mode)}`,
      `queue     ${queuePrefix}`,
      `mark      ${(mode ? besideMarks : markKey) ?? 'none, for a raw key'}`,
    ]),
    `command   ${command.map((word) => JSON.stringify(word)).join(' ')}`,
    `lease     ${seconds(timeline.ttlMs)}, if that is granted`,
    `contains  ${containment}`,
    ...settings.map((setting) => `setting   ${setting}`),
    '',
    ...rows.map(([atMs, text]) => `${seconds(atMs).padStart(width)}  ${text}`),
  ]
    .map((line) => printable(line, longestLine))
    .join('\n')
}

function describeMode(mode: Mode = exclusive): string {
  if (mode.kind === 'slots') return `, one of ${mode.slots} slots`
  return mode.kind === 'shared' ? ', shared' : ''
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`
}
