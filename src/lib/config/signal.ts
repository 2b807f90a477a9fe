import {constants} from 'node:os'
import {LeashError} from '../core/errors.ts'

/** Signals that end nothing: a stop signal that stops or continues would leave the job to KILL. */
const endNothing = new Set([
  'SIGSTOP',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGCONT',
  'SIGCHLD',
  'SIGURG',
  'SIGWINCH',
])

/**
 * Reads a signal as timeout(1) does: `TERM`, `SIGTERM`, in any case, or its number.
 *
 * @throws LeashError `usage` for what is no signal, or none that asks for an end
 */
export function parseSignal(text: string): NodeJS.Signals {
  const upper = text.toUpperCase()
  const name = upper.startsWith('SIG') ? upper : `SIG${upper}`
  const found = Object.entries(constants.signals).find(
    ([known, number]) => known === name || String(number) === text,
  )
  if (found === undefined || endNothing.has(found[0])) {
    const rule = found === undefined ? 'is no signal' : 'does not ask a process to end'
    throw new LeashError(
      'usage',
      `--signal ${JSON.stringify(text)} ${rule}`,
      'write for example TERM, INT or 15',
    )
  }
  return found[0] as NodeJS.Signals
}
