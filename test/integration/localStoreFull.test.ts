import {execFile} from 'node:child_process'
import {readdirSync, rmSync} from 'node:fs'
import path from 'node:path'
import {promisify} from 'node:util'
import {expect, onTestFinished, test} from 'vitest'
import {openLogStorage} from '../../src/lib/local/logStorage.ts'
import {scratchDirectory} from '../support/scratch.ts'

const driver = path.join(import.meta.dirname, 'fullDiskDriver.ts')

interface Filled {
  revision: number
  message: string
  wayOut: string
  code: string
}

const newDirectory = (): string => {
  const directory = scratchDirectory('store')
  onTestFinished(() => rmSync(directory, {recursive: true, force: true}))
  return directory
}

/** Fills the store from a process that may write files of so many blocks (512 bytes in sh, 1024 in some others). */
const fill = async (directory: string, blocks: number): Promise<Filled> => {
  const script = 'ulimit -f "$1" && exec "$2" --import tsx "$3" "$4"'
  const args = ['-c', script, 'sh', String(blocks), process.execPath, driver, directory]
  const {stdout} = await promisify(execFile)('sh', args)
  return JSON.parse(stdout) as Filled
}

test('a disk that gets full is named, and what was acknowledged before is there', async () => {
  const directory = newDirectory()
  const {revision, ...error} = await fill(directory, 6144)
  expect(error).toEqual({
    code: 'unavailable',
    message: `the disk has no room for the store of the local engine in ${directory}: EFBIG`,
    wayOut: 'make room there',
  })
  const {contents, close} = await opened(directory)
  expect(revision).toBeGreaterThan(10)
  expect(contents.revision).toBe(revision)
  expect(contents.keys).toHaveLength(revision - 1)
  await close()
})

test('a disk that is full from the beginning is named, and the store stays as it is', async () => {
  const directory = newDirectory()
  const {revision} = await fill(directory, 6144)
  const before = readdirSync(directory)
  expect(await fill(directory, 64)).toMatchObject({code: 'unavailable', wayOut: 'make room there'})
  expect(readdirSync(directory)).toEqual(before)
  const {contents, close} = await opened(directory)
  expect(contents.revision).toBe(revision)
  await close()
})

const opened = async (directory: string) => {
  const storage = await openLogStorage(directory)
  return {contents: storage.contents, close: () => storage.close()}
}
