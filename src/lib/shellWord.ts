/**
 * A text as one word for any POSIX shell: a command that somebody may copy, or code that a shell evaluates. As it is if it is
 * plain, else in quotes. Without NUL.
 */
export function shellWord(text: string): string {
  return /^[\w@%+:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}
