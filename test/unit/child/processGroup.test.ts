import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {rmSync, symlinkSync} from 'node:fs'
import path from 'node:path'
import {afterEach, describe, expect, test} from 'vitest'
import {isGroupEmpty, signalGroup} from '../../../src/lib/child/processGroup.ts'
import {isAlive, isStopped} from '../../support/processes.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {until} from '../../support/wait.ts'

const groups: number[] = []
afterEach(() => {
  for (const group of groups.splice(0)) {
    try {
      process.kill(-group, 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
})

interface Started {
  readonly group: number
  readonly line: string
  /** Code and signal of the leader. */
  readonly exit: Promise<unknown[]>
}

/** Starts a group whose leader says a line when it is ready. */
const startGroup = async (...[program = '', ...args]: string[]): Promise<Started> => {
  const child = spawn(program, args, {detached: true, stdio: ['pipe', 'pipe', 'inherit']})
  const exit = once(child, 'exit')
  const group = child.pid ?? 0
  groups.push(group)
  const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string]
  return {group, line: line.trim(), exit}
}

const within5s = {withinMs: 5000}

describe('isGroupEmpty', () => {
  test('is false while one process of the group lives, also without its leader', async () => {
    const {exit, group, line} = await startGroup('sh', '-c', 'sleep 1000 >/dev/null & echo $!')
    await exit
    expect(isGroupEmpty(group)).toBe(false)
    process.kill(Number(line), 'SIGKILL')
    await until('the group to be empty', () => isGroupEmpty(group), within5s)
  })

  test('is false for a stopped process', async () => {
    const {group} = await startGroup('sh', '-c', 'echo runs; read line')
    process.kill(group, 'SIGSTOP')
    await until('it to stop', () => isStopped(group), within5s)
    expect(isGroupEmpty(group)).toBe(false)
  })

  test('counts zombies as dead', async () => {
    // The child leads a group of its own and ends, and its parent never asks how.
    const script = `
      my $child = fork;
      if (!$child) { setpgrp; exit }
      select(undef, undef, undef, 0.01) until \`cat /proc/$child/stat\` =~ /\\) Z /;
      $| = 1; print "$child\n"; sleep 1000`
    const {line} = await startGroup('perl', '-e', script)
    const group = Number(line)
    expect(() => process.kill(-group, 0)).not.toThrow()
    expect(isAlive(group)).toBe(false)
    expect(isGroupEmpty(group)).toBe(true)
  })

  test('is not misled by the name of a program', async () => {
    const directory = scratchDirectory('names')
    try {
      const program = path.join(directory, 'a) Z 1 1 (')
      symlinkSync('/bin/sh', program)
      const {group} = await startGroup(program, '-c', 'echo runs; read line')
      expect(isGroupEmpty(group)).toBe(false)
    } finally {
      rmSync(directory, {recursive: true})
    }
  })

  test('is true when there is no such group', async () => {
    const {exit, group} = await startGroup('sh', '-c', 'echo runs')
    await exit
    expect(isGroupEmpty(group)).toBe(true)
  })
})

describe('signalGroup', () => {
  test('reaches every process of the group', async () => {
    const {exit, group} = await startGroup('sh', '-c', 'sleep 1000 & sleep 1000 & echo runs; wait')
    expect(signalGroup(group, 'SIGTERM')).toBe(true)
    expect(await exit).toEqual([null, 'SIGTERM'])
    await until('the group to be empty', () => isGroupEmpty(group), within5s)
  })

  test('wakes a stopped process, so that it can end', async () => {
    const {exit, group} = await startGroup(
      'sh',
      '-c',
      'trap "exit 3" TERM; echo runs; while :; do sleep 0.01; done',
    )
    process.kill(group, 'SIGSTOP')
    await until('it to stop', () => isStopped(group), within5s)
    signalGroup(group, 'SIGTERM')
    expect(await exit).toEqual([3, null])
  })

  test('leaves a stopped process stopped, if the signal asks nobody to end', async () => {
    const {group} = await startGroup('sh', '-c', 'trap : USR1; echo runs; while :; do sleep 0.01; done')
    process.kill(group, 'SIGSTOP')
    await until('it to stop', () => isStopped(group), within5s)
    signalGroup(group, 'SIGUSR1')
    expect(isStopped(group)).toBe(true)
  })

  test('says when there is nobody left', async () => {
    const {exit, group} = await startGroup('sh', '-c', 'echo runs')
    await exit
    expect(signalGroup(group, 'SIGTERM')).toBe(false)
  })
})
