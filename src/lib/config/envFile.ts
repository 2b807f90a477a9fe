import {LeashError} from '../core/errors.ts'

/**
 * One line of a file that sets a variable of ours. It allows only what systemd's `EnvironmentFile`, Node's `util.parseEnv`
 * and, where nothing is spaced out, a shell all read as the same value: no escapes, no expansion, no comment behind a value.
 */
const assignment =
  /^(?<name>[A-Z0-9_]+)\s*=\s*(?:"(?<double>[^"\\]*)"|'(?<single>[^'\\]*)'|(?<bare>[^"'`\\#]*))$/

/**
 * Reads the `LEASH_...=value` lines of a file; the last line wins for a name that stands twice. Lines about other variables,
 * blank lines and those that begin with `#` or `;` are passed over, because a systemd `EnvironmentFile` may hold more than
 * our settings.
 *
 * `util.parseEnv` is not used: on Node 20 it drops or renames settings without a word (the line after a `;` comment or
 * after a line without `=`, everything after a line that begins with `=`, the rest of a value after `#`), and a prefix that
 * is lost in silence means two holders in two key spaces.
 *
 * @param path for messages only
 * @param known the names that a file may set
 * @throws LeashError `config` with path and line, for a line of ours that cannot be read or an unknown name, never with the
 *   value: it may be a secret
 */
export function parseEnvFile(text: string, path: string, known: readonly string[]): Map<string, string> {
  const found = new Map<string, string>()
  for (const [index, line] of text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .entries()) {
    // Also takes away what Windows editors leave: the carriage return, and the byte order mark.
    const trimmed = line.trim()
    if (!isOurs(trimmed)) continue
    const match = assignment.exec(trimmed)?.groups
    const where = `line ${index + 1} of ${path}`
    if (!match) throw unreadableLine(trimmed, where)
    const name = match.name ?? ''
    if (!known.includes(name)) throw unknownName(name, where, known)
    found.set(name, match.double ?? match.single ?? match.bare ?? '')
  }
  return found
}

/** Case and what follows the word do not matter: `leash_ttl=`, `LEASH-TTL=` and `export LEASH_TTL=` are mistakes to name. */
function isOurs(line: string): boolean {
  return /^(?:export\s+)?LEASH/i.test(line)
}

function unreadableLine(line: string, where: string): LeashError {
  const name = /^[^\s=:]*/.exec(line)?.[0] ?? ''
  if (/^export\s/.test(line))
    return new LeashError(
      'config',
      `${where} begins with export, which systemd passes over`,
      'remove the word export',
    )
  return new LeashError(
    'config',
    `${where} sets ${name} in a way that not every reader of such files understands alike`,
    `write ${name.toUpperCase().replaceAll(/\W/g, '_')}=value, in quotes if it has a #, without backslashes and with comments on lines of their own`,
  )
}

function unknownName(name: string, where: string, known: readonly string[]): LeashError {
  const near = known.find((candidate) => distance(candidate, name) <= 2)
  return new LeashError(
    'config',
    `${where} sets ${name}, which a file cannot set`,
    near === undefined
      ? `remove the line; a file can set ${known.join(', ')}`
      : `write ${near} if you mean that, or remove the line`,
  )
}

/** How many letters must be inserted, removed or replaced to make one word of the other (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({length: b.length + 1}, (_, column) => column)
  for (const [i, letter] of [...a].entries()) {
    const above = row
    row = [i + 1]
    for (const [j, other] of [...b].entries()) {
      const replaced = (above[j] ?? 0) + (letter === other ? 0 : 1)
      row.push(Math.min(replaced, (above[j + 1] ?? 0) + 1, (row[j] ?? 0) + 1))
    }
  }
  return row[b.length] ?? 0
}
