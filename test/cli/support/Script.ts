import {randomUUID} from 'node:crypto'
import {readFileSync, readdirSync, rmSync} from 'node:fs'
import path from 'node:path'
import {systemWorld} from '../../../src/lib/config/world.ts'
import {type Handle, decodeHandle} from '../../../src/lib/handle/handle.ts'
import {prepareHandleDirectory} from '../../../src/lib/handle/handleDirectory.ts'
import {type Found, killMarked, processesMarked} from '../../support/processes.ts'
import {until} from '../../support/wait.ts'
import {type Ended, Leash, type LeashOptions} from './leash.ts'

/** Where the handles are of the user who runs the tests: it follows from the uid, so tests cannot have one of their own. */
export const handleDirectory = (): string => prepareHandleDirectory(systemWorld())

/** What is in the handle at this path. */
export const handleAt = (file: string): Handle => {
  const decoded = decodeHandle(readFileSync(file, 'utf8'))
  if (decoded.is !== 'handle') throw new Error(`${file} is no handle`)
  return decoded.handle
}

/** The keeper that the handle at this path names, and its guard and whom it keeps. */
export const keeperAt = (file: string): NonNullable<Handle['keeper']> => {
  const {keeper} = handleAt(file)
  if (keeper === undefined) throw new Error(`${file} has no keeper`)
  return keeper
}

/** Paths of handles, unfinished ones too, of locks that were taken at this endpoint. */
export const handlesAt = (url: string): string[] => {
  const directory = handleDirectory()
  return readdirSync(directory)
    .map((name) => path.join(directory, name))
    .filter((file) => textOf(file).includes(`"${url}"`))
}

/** Removes them. Sockets of keepers that were killed go with them. */
export const removeHandlesAt = (url: string): void => {
  for (const file of handlesAt(url)) removeHandle(file)
}

const removeHandle = (file: string): void => {
  rmSync(file, {force: true})
  rmSync(`${file}.sock`, {force: true})
}

const textOf = (file: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // A socket, or gone meanwhile.
    return ''
  }
}

/** Not one of leash's own variables, which keepers and guards do not get. */
const markVariable = 'TEST_SCRIPT'

/**
 * A shell script that uses `leash`, with its etcd in LEASH_ENDPOINTS. `await using` kills whatever came from it, and removes
 * the handles that it has printed.
 */
export class Script implements AsyncDisposable {
  readonly #mark = `${markVariable}=${randomUUID()}`
  readonly #shell: Leash

  constructor(
    {url}: {url: string},
    text: string,
    {shell = 'sh', env, ...options}: Omit<LeashOptions, 'through' | 'onlyEnv'> & {shell?: 'sh' | 'bash'} = {},
  ) {
    const [name = '', value = ''] = this.#mark.split('=')
    const before = 'node=$1 program=$2; shift 2; leash() { "$node" "$program" "$@"; }'
    this.#shell = new Leash([], {
      ...options,
      env: {LEASH_ENDPOINTS: url, ...env, [name]: value},
      through: [shell, '-c', `${before}\n${text}`, shell],
    })
  }

  get pid(): number {
    return this.#shell.pid
  }

  get stdout(): string {
    return this.#shell.stdout
  }

  get stderr(): string {
    return this.#shell.stderr
  }

  get hasEnded(): boolean {
    return this.#shell.hasEnded
  }

  /** Waits until it has said this, and returns the match. */
  async says(pattern: RegExp, stream: 'stdout' | 'stderr' = 'stdout'): Promise<string> {
    return this.#shell.says(pattern, stream)
  }

  /** Waits until it has printed a handle, and returns its path. */
  async handle(): Promise<string> {
    return (await this.says(/^\/\S+\/handles\/[0-9a-f]+\n/m)).trim()
  }

  type(text: string): void {
    this.#shell.type(text)
  }

  /** Signals the shell, and nobody else. */
  kill(signal: NodeJS.Signals): void {
    this.#shell.kill(signal)
  }

  /** Its end: its own process has ended, and nobody has its stdout or stderr any more. */
  async end(): Promise<Ended> {
    return this.#shell.end()
  }

  /** All live processes that came from it, keepers and guards too. */
  processes(): Found[] {
    return processesMarked(this.#mark)
  }

  /** Resolves when none is left. */
  async isGone(): Promise<void> {
    const detail = (): string => `${JSON.stringify(this.processes())}\n${this.#shell.describe()}`
    await until('all to have ended', () => this.processes().length === 0, {withinMs: 10_000, detail})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    killMarked(this.#mark)
    await this.#shell[Symbol.asyncDispose]()
    for (const [file] of this.stdout.matchAll(/^\/\S+\/handles\/[0-9a-f]+$/gm)) removeHandle(file)
  }
}

/** Runs a script to its end. */
export const script = async (
  etcd: {url: string},
  text: string,
  options: ConstructorParameters<typeof Script>[2] = {},
): Promise<Ended> => {
  await using running = new Script(etcd, text, {input: '', ...options})
  return await running.end()
}
