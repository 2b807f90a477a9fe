import {readdirSync, readFileSync, writeFileSync} from 'node:fs'
import path from 'node:path'

/**
 * Writes the licences of all packages that have code in the bundle into one text, since a bundle no longer contains
 * their own files.
 *
 * @param inputs the files that the bundle was made of, relative to `root`
 * @throws if a package has no licence file, so that nothing is shipped without one
 */
export function writeLicenses(root: string, inputs: readonly string[], file: string): void {
  const directories = new Set(inputs.flatMap((input) => packageDirectory(input)))
  const parts = [...directories].toSorted().map((directory) => licenseOf(path.join(root, directory)))
  writeFileSync(file, `leash.cjs contains code of these packages.\n\n${parts.join('\n')}`)
}

/** `node_modules/a/node_modules/@b/c` of a file therein; nothing for a file of our own. */
function packageDirectory(input: string): string[] {
  const match = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input)
  return match ? [match[0]] : []
}

function licenseOf(directory: string): string {
  const {name, version, license} = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8')) as {
    name: string
    version: string
    license?: string
  }
  const files = readdirSync(directory).filter((entry) => /^(licen[cs]e|copying|notice)/i.test(entry))
  if (!files.length) throw new Error(`${name} has no licence file, but the bundle contains its code`)
  const texts = files.map((entry) => readFileSync(path.join(directory, entry), 'utf8').trim())
  return [
    `${'='.repeat(80)}\n${name} ${version} (${license ?? 'see below'})\n${'='.repeat(80)}`,
    ...texts,
    '',
  ].join('\n\n')
}
