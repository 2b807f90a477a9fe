import fs from 'node:fs'
import path from 'node:path'
import {setFlagsFromString} from 'node:v8'
import type {Script} from 'node:vm'

/** What the launcher knows about the cache when it has loaded the bundle. */
export interface CodeCache {
  /** The bundle's script; V8 adds to it what it compiles while the command runs. */
  script: Script
  /** The file that was used, if any: its data and, in the last byte, the {@link lesson}; and whether it is this user's. */
  cache: {file: string; data: Buffer; own: boolean} | undefined
  /** Beside the bundle, for all users; and in the user's own directory, if the user has a home. */
  places: {shared: string; own: () => string | undefined}
}

/**
 * The last byte of a cache: how many runs in a row have added nothing to it. A first run may be one of `--explain`, or end
 * because somebody else holds the lock, so a cache grows until five runs have brought nothing new. 255: it is finished.
 */
const lesson = {fresh: 0, last: 5, finished: 255}

/** A cache that grows by less than this part has nothing new; V8 does not make exactly the same twice. */
const insignificant = 0.01

/** Files older than this are deleted, since most belong to versions that are gone; the others come back. */
const keptMs = 30 * 24 * 3600 * 1000

/** What a run compiles is saved only for the command that its cache is named after; `run --help` is no run. */
let worthKeeping = true

/** Says that this run is not typical of its command, so that its code is not kept. */
export function forgetCode(): void {
  worthKeeping = false
}

/** Lets this process keep the code that it compiles, and saves it when the process ends. */
export function learnCode(known: CodeCache): void {
  // Otherwise V8 forgets, while a long job runs, what start and acquisition have compiled.
  setFlagsFromString('--no-flush-bytecode')
  process.on('exit', () => {
    // As it was: V8 uses a cache only under the flags it was made with.
    setFlagsFromString('--flush-bytecode')
    if (worthKeeping) saveCode(known)
  })
}

/**
 * Saves V8's code for the next start: beside the bundle if the user may write there, else in a directory of the user's
 * that nobody else can write, else not at all.
 *
 * A file appears complete or not at all, so runs that save at the same time do not disturb each other. Whatever fails
 * (a full disk, a home that is not there) leaves the next start slow and is nobody's concern.
 */
export function saveCode({script, cache, places}: CodeCache): void {
  try {
    const file = [places.shared, places.own()].find(
      (place) => place && isWritable(place, place === places.shared),
    )
    if (!file) return
    const code = script.createCachedData()
    if (cache?.own && code.length < cache.data.length * (1 + insignificant)) return noteNothingNew(cache)
    saveAs(file, Buffer.concat([code, Buffer.of(lesson.fresh)]), file === places.shared ? 0o644 : 0o600)
    removeOld(path.dirname(file))
  } catch {
    // See above.
  }
}

/** Makes the file's directory, if need be, for all to read or for the user alone. */
function isWritable(file: string, shared: boolean): boolean {
  const directory = path.dirname(file)
  try {
    fs.mkdirSync(directory, {recursive: true, mode: shared ? 0o755 : 0o700})
    fs.accessSync(directory, fs.constants.W_OK)
    return isSafe(directory)
  } catch {
    return false
  }
}

function noteNothingNew({file, data}: {file: string; data: Buffer}): void {
  const quiet = (data.at(-1) ?? lesson.fresh) + 1
  const fd = fs.openSync(file, fs.constants.O_WRONLY | fs.constants.O_NOFOLLOW)
  try {
    // Another run may have put a larger file here meanwhile, which has its own count.
    if (fs.fstatSync(fd).size !== data.length) return
    fs.writeSync(fd, Buffer.of(quiet < lesson.last ? quiet : lesson.finished), 0, 1, data.length - 1)
  } finally {
    fs.closeSync(fd)
  }
}

function saveAs(file: string, data: Buffer, mode: number): void {
  const temporary = `${file}.${process.pid}.tmp`
  try {
    fs.writeFileSync(temporary, data, {flag: 'wx', mode})
    fs.renameSync(temporary, file)
  } catch {
    fs.rmSync(temporary, {force: true})
  }
}

/** A directory that belongs to this user or to root and that nobody else can write. */
function isSafe(directory: string): boolean {
  const stat = fs.lstatSync(directory)
  return (
    stat.isDirectory() && (stat.uid === process.getuid?.() || stat.uid === 0) && (stat.mode & 0o022) === 0
  )
}

function removeOld(directory: string): void {
  for (const name of fs.readdirSync(directory)) {
    const file = path.join(directory, name)
    if (Date.now() - fs.statSync(file).mtimeMs > keptMs) fs.rmSync(file, {force: true})
  }
}
