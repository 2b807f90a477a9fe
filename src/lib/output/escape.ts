/**
 * What a terminal or a reader's eye would obey instead of show: control characters (C0 with escape and newline, DEL, C1 with
 * the one-byte CSI), invisible format characters (bidi overrides and isolates, zero-width characters, tags), line and
 * paragraph separators, and lone surrogates, which are no characters at all. By Unicode's general categories.
 */
const unsafe = /^[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]$/u

const shortForms: Readonly<Record<string, string>> = {
  '\n': String.raw`\n`,
  '\r': String.raw`\r`,
  '\t': String.raw`\t`,
}

/** Longer than any lock name (200 bytes) once a few characters of it are escaped; a holder's metadata may be anything. */
const defaultMaxCharacters = 240

/**
 * Makes text that others wrote safe to stand in a line on a terminal: holder metadata from etcd, lock names, error texts of
 * servers. Unsafe characters appear as `\n`, `\x1b` or `\u{202e}`, everything else as it is. Text over the limit is cut and
 * ends in an ellipsis. Backslashes are not doubled, so that what is safe stays as it is when it passes here twice; the result is
 * for eyes and cannot be read back.
 *
 * @param maxCharacters the limit of the result, in code points, at least 1
 */
export function printable(text: string, maxCharacters: number = defaultMaxCharacters): string {
  const pieces: string[] = []
  let room = maxCharacters
  for (const character of text) {
    const piece = unsafe.test(character) ? escaped(character) : character
    room -= piece === character ? 1 : piece.length
    if (room < 0) return shortened(pieces, maxCharacters)
    pieces.push(piece)
  }
  return pieces.join('')
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0
  const hex = code.toString(16).padStart(2, '0')
  return shortForms[character] ?? (code <= 0xff ? `\\x${hex}` : `\\u{${hex}}`)
}

/** Drops whole pieces from the end until the ellipsis fits, so that no escape is cut in half. */
function shortened(pieces: string[], maxCharacters: number): string {
  while ([...pieces.join('')].length > maxCharacters - 1) pieces.pop()
  return `${pieces.join('')}…`
}
