import {LeashError} from './lib/core/errors.ts'

/** What oclif's parser says around the cause, over several lines. */
const frame = /^(The following|See more)/

/** The cause in one sentence: oclif's own, with the flag that it speaks of spelled as the user types it. */
export function usageError(error: unknown, id: string | undefined): LeashError {
  const text = error instanceof Error ? error.message : String(error)
  const lines = text.split('\n').map((line) => line.trim())
  const [cause = text, detail] = lines.filter((line) => line !== '' && !frame.test(line))
  const badValueOf = /^Parsing (--\S+)/.exec(cause)?.[1]
  const message =
    badValueOf !== undefined && detail !== undefined
      ? `${badValueOf}: ${uncapitalized(detail)}`
      : uncapitalized(cause)
          .replace(/^missing required flag (?=\w)/, 'missing required flag --')
          .replace(/^(--\S+)=true (?=cannot)/, '$1 ')
  return new LeashError('usage', message, `see "leash ${id ?? ''} --help"`, {cause: error})
}

function uncapitalized(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}
