import {rmSync} from 'node:fs'
import path from 'node:path'
import {expect, test, vi} from 'vitest'
import {serveLocal} from '../../src/serveLocal.ts'
import {scratchDirectory} from '../support/scratch.ts'

test('an engine that cannot make its socket says so itself, and gRPC nothing beside', async () => {
  const directory = scratchDirectory('serve')
  const printed = vi.spyOn(console, 'error').mockReturnValue()
  const umask = process.umask()
  try {
    const socketPath = path.join(directory, 'nowhere/socket')
    await expect(serveLocal({directory, socketPath}, () => {})).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining(`the local engine cannot make its socket ${socketPath}`) as string,
    })
    expect(printed.mock.calls).toEqual([])
  } finally {
    process.umask(umask)
    printed.mockRestore()
    rmSync(directory, {recursive: true})
  }
})
