import {shellWord} from '../shellWord.ts'

/**
 * Stays as it is, as a word for a shell, if another shell first splits the text at blanks and takes the words for patterns; `(`
 * is part of one where bash has `extglob`. A newline does not, but at the end of a value printf(1) would lose it as well.
 */
const survivesSplitting = /^(?:[^ \t*?[(]| (?! ))*$|\n/
/** Stands for itself in the format of printf(1), between quotes, in any locale. */
const printsItself = /^[\w@+:,./{}"=]$/

/**
 * One line that sets and exports variables, and unsets others, for `eval "$(...)"`. The values come out byte for byte, also of
 * an `eval $(...)` whose author forgot the quotes: the shell then splits the line at blanks, takes the words for patterns of
 * file names, and evaluates what it found, so that a file's name could become a command. A value in which that would change
 * anything is written as the `printf` that prints it. Without quotes there are two limits: an IFS of the script's own, and
 * newlines in a value.
 *
 * @param variables names of shell variables, and values without NUL
 */
export function assignments(variables: Readonly<Record<string, string>>, unset: readonly string[]): string {
  const names = Object.keys(variables)
  const statements = Object.entries(variables).map(([name, value]) => `${name}=${splittable(value)}`)
  if (names.length > 0) statements.push(`export ${names.join(' ')}`)
  if (unset.length > 0) statements.push(`unset ${unset.join(' ')}`)
  return `${statements.join('; ')}\n`
}

/**
 * What is printed in place of assignments when there are none: `eval "$(...)"` would otherwise go on with status 0, also under
 * `set -e`, as it does not see the status of the command inside.
 *
 * @param status 1 to 255
 */
export function failureForEval(status: number): string {
  return `(exit ${status})\n`
}

function splittable(value: string): string {
  return survivesSplitting.test(value) ? shellWord(value) : `$(printf '${printfFormat(value)}')`
}

/** Bytes as three octal digits, which printf(1) always takes as one byte, whatever follows. */
function printfFormat(text: string): string {
  const pieces = Array.from(Buffer.from(text), (byte) => {
    const character = String.fromCharCode(byte)
    return printsItself.test(character) ? character : `\\${byte.toString(8).padStart(3, '0')}`
  })
  return pieces.join('')
}
