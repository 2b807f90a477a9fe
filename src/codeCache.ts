import fs from 'node:fs'
import path from 'node:path'
import {setFlagsFromString} from 'node:v8'
import type {Script} from 'node:vm'
import {LOADERS} from './commands/loaders.ts'
import {packageRoot} from './packageRoot.ts'

export interface CodeCache {
  /** The bundle, after it has run: what it has compiled meanwhile goes into the cache. */
  script: Script
  /** The file's name, made by the launcher from all that decides whether V8 may use the code. */
  name: string
  /** The first argument; only commands get a cache, not what was mistyped. */
  command: string | undefined
  /** The run came to a good end, so it compiled what such a run needs. */
  complete: boolean
  /** Where the user's own caches are; undefined for a user without a home. */
  userFile: (name: string) => string | undefined
}

/** Files that are older than this are deleted, as most of them belong to versions that are gone; the others come back. */
const keptMs = 30 * 24 * 3600 * 1000

/**
 * Saves V8's code for the next start: beside the bundle if the user may write there, else in a directory of the user's
 * that nobody else can write, else not at all. The launcher says when; it is the last thing a process does.
 *
 * A file appears complete or not at all, so runs that save at the same time do not disturb each other. Whatever fails
 * (a full disk, a home that is not there) leaves the next start slow and is nobody's concern.
 */
export function saveCodeCache({script, name, command, complete, userFile}: CodeCache): void {
  if (command !== undefined && !command.startsWith('-') && !Object.hasOwn(LOADERS, command)) return
  try {
    // The launcher has switched it off; the flags are part of what V8 compares.
    setFlagsFromString('--flush-bytecode')
    const data = Buffer.concat([script.createCachedData(), Buffer.of(complete ? 1 : 0)])
    const beside = path.join(packageRoot, '.cache/code', name)
    const file = saveAs(beside, data, 0o644) ? beside : userFile(name)
    if (file && (file === beside || saveAs(file, data, 0o600))) removeOld(path.dirname(file))
  } catch {
    // See above.
  }
}

/** The directory, if it must be made, gets the same rights as the file. */
function saveAs(file: string, data: Buffer, mode: 0o600 | 0o644): boolean {
  const directory = path.dirname(file)
  const temporary = `${file}.${process.pid}.tmp`
  try {
    fs.mkdirSync(directory, {recursive: true, mode: mode === 0o600 ? 0o700 : 0o755})
    if (!isOwn(directory)) return false
    fs.writeFileSync(temporary, data, {flag: 'wx', mode})
    fs.renameSync(temporary, file)
    return true
  } catch {
    fs.rmSync(temporary, {force: true})
    return false
  }
}

/** A directory that belongs to this user or to root and that nobody else can write. */
function isOwn(directory: string): boolean {
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
