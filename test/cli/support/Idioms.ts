import {readFileSync} from 'node:fs'
import path from 'node:path'

const docs = path.resolve(import.meta.dirname, '../../../docs')

/** The scripts of a page of the docs: its shell blocks, each named by a comment in its first line. */
export class Idioms {
  readonly #page: string
  readonly #scripts: ReadonlyMap<string, string>
  readonly #tested = new Set<string>()

  constructor(page: string) {
    this.#page = page
    const blocks = readFileSync(path.join(docs, page), 'utf8').matchAll(/^```sh\n(.*?)^```$/gms)
    this.#scripts = new Map(
      [...blocks].map(([, script = '']) => [/^# (\S+)\n/.exec(script)?.[1] ?? `no name: ${script}`, script]),
    )
  }

  /** The script as it stands in the docs. */
  script(name: string): string {
    const script = this.#scripts.get(name)
    if (script === undefined) throw new Error(`docs/${this.#page} has no block "# ${name}"`)
    this.#tested.add(name)
    return script
  }

  /** The blocks that nobody has asked for. */
  get untested(): string[] {
    return [...this.#scripts.keys()].filter((name) => !this.#tested.has(name))
  }
}
