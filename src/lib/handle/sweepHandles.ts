import {lstatSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import type {BootTime} from './bootTime.ts'
import {decodeHandle} from './handle.ts'

/** Now, by both clocks by which a file can be old. */
export interface SweepTime extends BootTime {
  /** Since the epoch, as a file's mtime. */
  wallMs: number
}

/** How long a tombstone keeps it harmless to release twice, and anything else may be looked at by a person. */
const keptMs = 24 * 60 * 60 * 1000

/** Names that handles, unfinished updates of them, and keepers' sockets have; nothing else is touched. */
const handleName = /^[0-9a-f]{1,16}$/
const unfinishedName = /^[0-9a-f]{1,16}\.[0-9a-f]{16}\.tmp$/
const socketName = /^(?<handle>[0-9a-f]{1,16})\.sock$/

/**
 * Removes what nobody needs any more from a directory that `prepareHandleDirectory` made: tombstones and damaged handles after
 * a day, handles without a renewal for two TTLs and a day, and, after a day, unfinished updates and the sockets of handles that
 * are gone. A handle of another version stays, because its lease may live. Never throws: a directory that cannot be swept
 * costs room, and nobody a lock.
 */
export function sweepHandles(directory: string, now: SweepTime): void {
  const names = namesIn(directory)
  // Handles first: then the sockets of those that went are seen to be left over.
  for (const name of names.filter((name) => handleName.test(name)))
    removeIf(join(directory, name), (path, ageMs) => isOver(path, ageMs, now), now)
  for (const name of names.filter((name) => unfinishedName.test(name)))
    removeIf(join(directory, name), (_, ageMs) => ageMs > keptMs, now)
  for (const name of names) {
    const handle = socketName.exec(name)?.groups?.['handle']
    if (handle === undefined) continue
    removeIf(join(directory, name), (_, ageMs) => ageMs > keptMs && !isThere(join(directory, handle)), now)
  }
}

function isOver(path: string, ageMs: number, now: SweepTime): boolean {
  if (ageMs <= keptMs) return false
  const content = decodeHandle(readFileSync(path, 'utf8'))
  if (content.is !== 'handle') return content.is === 'damaged'
  const {ended, ttlMs, bootId, sentAtBootMs} = content.handle
  if (ended !== undefined) return true
  const overMs = 2 * ttlMs + keptMs
  // A wall clock that was set, as one is soon after a boot without a battery, makes a handle look old that is renewed.
  const oldInThisBoot = bootId !== now.bootId || now.bootMs - sentAtBootMs > overMs
  return ageMs > overMs && oldInThisBoot
}

function removeIf(path: string, isLeftOver: (path: string, ageMs: number) => boolean, now: SweepTime): void {
  try {
    const status = lstatSync(path)
    if (!status.isFile() && !status.isSocket()) return
    if (isLeftOver(path, now.wallMs - status.mtimeMs)) rmSync(path)
  } catch {
    // Another sweep was quicker, or it cannot be read: the next one looks again.
  }
}

function isThere(path: string): boolean {
  return lstatSync(path, {throwIfNoEntry: false}) !== undefined
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}
