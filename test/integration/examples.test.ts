import {execFile} from 'node:child_process'
import {readFileSync, rmSync, writeFileSync} from 'node:fs'
import path from 'node:path'
import {promisify} from 'node:util'
import {expect, test} from 'vitest'
import {systemdPrograms} from '../support/NotifySocket.ts'
import {scratchDirectory} from '../support/scratch.ts'

const examples = path.resolve(import.meta.dirname, '../../examples')
const unit = readFileSync(path.join(examples, 'leash-leader.service'), 'utf8')

/** What systemd says of this unit. */
const verified = async (text: string): Promise<string> => {
  const directory = scratchDirectory('unit')
  try {
    const file = path.join(directory, 'leash-leader.service')
    // systemd looks for the program; leash is not installed here.
    writeFileSync(file, text.replace('=/usr/local/bin/leash ', '=/bin/sh '))
    const analyze = path.join(systemdPrograms, 'systemd-analyze')
    const {stdout, stderr} = await promisify(execFile)(analyze, ['verify', '--man=no', file])
    return stdout + stderr
  } finally {
    rmSync(directory, {recursive: true})
  }
}

test('systemd has nothing to say against the unit of a leader', async () => {
  expect(await verified(unit)).toBe('')
})

test('systemd would say if a line of it were wrong', async () => {
  expect(await verified(unit.replace('KillMode=', 'KillMood='))).toContain('KillMood')
})

test('the README explains each line of the unit that is about leash', () => {
  const readme = readFileSync(path.join(examples, 'README.md'), 'utf8')
  const [, service = ''] = /\[Service\]\n([^]*?)\n\n/.exec(unit) ?? []
  const names = service.split('\n').map((line) => line.slice(0, line.indexOf('=') + 1))
  const unexplained = names.filter((name) => !readme.includes(`| \`${name}`))
  expect(unexplained).toEqual(['ExecStart=', 'User='])
})
