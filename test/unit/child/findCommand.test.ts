import {chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {afterEach, beforeEach, describe, expect, test} from 'vitest'
import {findCommand} from '../../../src/lib/child/findCommand.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {asOrdinaryUser, refusal} from '../config/temporaryWorld.ts'

let root: string
beforeEach(() => {
  root = scratchDirectory('commands')
  chmodSync(root, 0o755)
})
afterEach(() => rmSync(root, {recursive: true}))

const directory = (name: string): string => {
  const made = path.join(root, name)
  mkdirSync(made)
  return made
}
const file = (name: string, mode: number): string => {
  const made = path.join(root, name)
  writeFileSync(made, '')
  chmodSync(made, mode)
  return made
}

describe('finds', () => {
  test('a path, whatever PATH says', () => {
    expect(() => findCommand(file('job', 0o755), '')).not.toThrow()
  })

  test('a path that others than the owner may execute', () => {
    const job = file('job', 0o655)
    expect(() => asOrdinaryUser(() => findCommand(job, ''))).not.toThrow()
  })

  test('a link to a command', () => {
    symlinkSync(file('job', 0o755), path.join(root, 'link'))
    expect(() => findCommand(path.join(root, 'link'), '')).not.toThrow()
  })

  test('the executable one of several on PATH', () => {
    const [a, b, c] = [directory('a'), directory('b'), directory('c')]
    file('a/job', 0o644)
    mkdirSync(path.join(b, 'job'))
    file('c/job', 0o755)
    expect(() => findCommand('job', `/nowhere:${a}:${b}:${c}`)).not.toThrow()
  })

  test('what stands in the working directory, if PATH has an empty part', () => {
    const before = process.cwd()
    file('job', 0o755)
    process.chdir(root)
    try {
      expect(() => findCommand('job', '/nowhere:')).not.toThrow()
      expect(() => findCommand('job', '')).not.toThrow()
      expect(refusal(() => findCommand('job', '/nowhere')).code).toBe('notFound')
    } finally {
      process.chdir(before)
    }
  })

  test('the usual commands when there is no PATH', () => {
    expect(() => findCommand('sh', undefined)).not.toThrow()
  })
})

describe('refuses', () => {
  test.each([
    ['an empty name', ''],
    ['what is on no part of PATH', 'no-such-command'],
    ['a path to nothing', '/no/such/command'],
    ['a path through a file', '/etc/passwd/command'],
  ])('as not found: %s', (_, command) => {
    expect(refusal(() => findCommand(command, '/usr/bin:/bin')).code).toBe('notFound')
  })

  test('as not found: what a directory hides', () => {
    const hidden = directory('hidden')
    file('hidden/job', 0o755)
    chmodSync(hidden, 0o000)
    const found = asOrdinaryUser(() => refusal(() => findCommand(path.join(hidden, 'job'), '')))
    chmodSync(hidden, 0o755)
    expect(found.code).toBe('notFound')
  })

  test('as not executable, with the one that was found', () => {
    const [a, b] = [directory('a'), directory('b')]
    file('a/job', 0o644)
    mkdirSync(path.join(b, 'job'))
    expect(refusal(() => findCommand('job', `${a}:${b}`))).toEqual({
      code: 'notExecutable',
      message: 'command "job" is not executable',
      wayOut: `check ${a}/job`,
    })
  })

  test('as not executable: a directory', () => {
    expect(refusal(() => findCommand(root, '')).code).toBe('notExecutable')
  })
})
