import {isUtf8} from 'node:buffer'
import {closeSync, readFileSync, readdirSync, readlinkSync} from 'node:fs'

/** What leash was given by whoever started it, and Node does not keep. */
export interface Inheritance {
  /**
   * The environment as text. A variable that is not UTF-8 is in `rawEnv`; if its name is no identifier it is here, with
   * U+FFFD where it is not.
   */
  env: Readonly<Record<string, string>>
  /** Variables whose values are not UTF-8, with identifiers as names. */
  rawEnv: ReadonlyMap<string, Buffer>
  /** The open descriptors above 2, ascending. */
  descriptors: readonly number[]
  /**
   * The numbers of ignored signals. Without CHLD, which shells do not ignore, and without those from 32 on, which Node leaves
   * as they are.
   */
  ignoredSignals: readonly number[]
  /** The soft limit of open files, as `ulimit -Sn` takes it; undefined if it is not known, or as high as the hard one. */
  openFiles: string | undefined
}

/** What bin/leash.cjs writes down: its witness, the descriptor that the witness waits on, and its own /proc/PID/stat. */
const noteVariable = 'LEASH_LAUNCH'

/** Where /proc/PID/stat has the mask of ignored signals, counted from behind the program's name. */
const ignoredField = 30
const chld = 17

const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/

/** What bin/leash.cjs has noted of our start. */
interface Note {
  ignoredSignals: number[]
  witness?: Witness
}

/** A copy of the process that we were before Node, and a descriptor of ours: it ends when we close that. */
interface Witness {
  pid: number
  descriptor: number
}

/**
 * Takes what bin/leash.cjs has noted, and lets its witness end. Without a note, or if it is not about us, there is what Node
 * has left. Call it once; it throws nothing.
 */
export function takeInheritance(): Inheritance {
  const {ignoredSignals, witness} = takeNote()
  const given = witness && hear(witness)
  return {ignoredSignals, ...(given ?? {...environment('self'), descriptors: [], openFiles: undefined})}
}

function takeNote(): Note {
  const note = process.env[noteVariable] ?? ''
  delete process.env[noteVariable]
  const [witness, descriptor, pid] = note.split(' ', 3)
  // By /proc, which may count processes from outside of a container.
  if (pid === undefined || pid !== linkOf('/proc/self')) return {ignoredSignals: []}
  const ignored = {ignoredSignals: ignoredSignalsOf(note)}
  const found = {pid: Number(witness), descriptor: Number(descriptor)}
  return isWitness(found) ? {...ignored, witness: found} : ignored
}

/** Nobody but our launcher and its witness has this pipe: so it is a living copy of what we were. */
function isWitness({pid, descriptor}: Witness): boolean {
  return pid !== process.pid && descriptor > 2 && isPipe(descriptor) && isShared(descriptor, pid)
}

function isPipe(descriptor: number): boolean {
  return linkOf(`/proc/self/fd/${descriptor}`)?.startsWith('pipe:') === true
}

function ignoredSignalsOf(stat: string): number[] {
  const mask = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[ignoredField])
  const signals: number[] = []
  for (let signal = 1; signal < 32; signal++) {
    if (signal !== chld && (mask & (1 << (signal - 1))) !== 0) signals.push(signal)
  }
  return signals
}

/** What the witness has; undefined if it was ended meanwhile. */
function hear(witness: Witness): Omit<Inheritance, 'ignoredSignals'> | undefined {
  const {pid, descriptor} = witness
  try {
    const given = {...environment(pid), descriptors: descriptorsOf(witness), openFiles: openFilesOf(pid)}
    // The environment of a dead process is empty, as if it had none.
    return isWitness(witness) ? given : undefined
  } catch {
    return undefined
  } finally {
    closeSync(descriptor)
  }
}

function environment(pid: number | 'self'): Pick<Inheritance, 'env' | 'rawEnv'> {
  const env: Record<string, string> = Object.create(null) as Record<string, string>
  const rawEnv = new Map<string, Buffer>()
  let bytes: string[] | undefined
  for (const [index, entry] of entriesOf(pid, 'utf8').entries()) {
    const [name, value] = splitOnce(entry)
    if (name === '' || name === noteVariable) continue
    if (value.includes('\ufffd') && identifier.test(name)) {
      bytes ??= entriesOf(pid, 'latin1')
      const raw = Buffer.from(splitOnce(bytes[index] ?? '')[1], 'latin1')
      if (isUtf8(raw)) env[name] = value
      else rawEnv.set(name, raw)
    } else env[name] = value
  }
  return {env, rawEnv}
}

/** `NAME=VALUE` each, as they were given to the process. Node reads files fast as UTF-8 only. */
function entriesOf(pid: number | 'self', encoding: 'utf8' | 'latin1'): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, encoding).split('\0')
  } catch {
    return Object.entries(process.env).map(([name, value]) =>
      Buffer.from(`${name}=${value}`).toString(encoding),
    )
  }
}

function splitOnce(entry: string): [name: string, value: string] {
  const equals = entry.indexOf('=')
  return [entry.slice(0, Math.max(equals, 0)), entry.slice(equals + 1)]
}

/** Those of the witness that are still ours: it has its own end of the pipe, and Node has opened others. */
function descriptorsOf({pid, descriptor}: Witness): number[] {
  return readdirSync(`/proc/${pid}/fd`)
    .map(Number)
    .filter((one) => one > 2 && one !== descriptor && isShared(one, pid))
    .toSorted((a, b) => a - b)
}

function isShared(descriptor: number, pid: number): boolean {
  const file = linkOf(`/proc/self/fd/${descriptor}`)
  return file !== undefined && file === linkOf(`/proc/${pid}/fd/${descriptor}`)
}

/** Node raises the soft limit to the hard one. */
function openFilesOf(pid: number): string | undefined {
  const limits = readFileSync(`/proc/${pid}/limits`, 'utf8')
  const [, soft, hard] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(limits) ?? []
  return soft === hard ? undefined : soft
}

/**
 * Closes what whoever started us has left open above 15: what is below, and what Node has opened itself, is closed on exec, and
 * not handed on to what we start. For who outlives the one that started us: a flock or a pipe would be held as long.
 */
export function closeInherited(): void {
  for (const descriptor of readdirSync('/proc/self/fd').map(Number))
    if (descriptor > 2 && isClosedOnExec(descriptor) === false) closeSync(descriptor)
}

/** O_CLOEXEC as Linux shows it. */
const closedOnExec = 0o2000000

/** Undefined if it is not open. */
function isClosedOnExec(descriptor: number): boolean | undefined {
  try {
    const info = readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8')
    return (parseInt(/^flags:\s*(\d+)/m.exec(info)?.[1] ?? '', 8) & closedOnExec) !== 0
  } catch {
    return undefined
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
