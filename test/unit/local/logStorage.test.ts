import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {
  closeSync,
  constants,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import {expect, onTestFinished, test} from 'vitest'
import {LeashError} from '../../../src/lib/core/errors.ts'
import {encodeBatch} from '../../../src/lib/local/batchCode.ts'
import {frame} from '../../../src/lib/local/frames.ts'
import {openLogStorage} from '../../../src/lib/local/logStorage.ts'
import {type Batch, type Storage, Superseded} from '../../../src/lib/local/storage.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {until} from '../../support/wait.ts'

const bound = {withinMs: 10_000}

const put = (revision: number, value: string): Batch => ({
  revision,
  puts: [
    {
      key: Buffer.from(`key ${revision % 3}`),
      value: Buffer.from(value),
      createRevision: revision,
      modRevision: revision,
      version: 1,
      lease: 0n,
    },
  ],
  deletions: [],
  granted: [],
  revoked: [],
})

const newDirectory = (): string => {
  const directory = scratchDirectory('store')
  onTestFinished(() => rmSync(directory, {recursive: true, force: true}))
  return directory
}

/** A directory with a store in which are three keys, and its only file. */
const filledDirectory = async (): Promise<{directory: string; file: string}> => {
  const directory = newDirectory()
  const storage = await openLogStorage(directory)
  for (let revision = 2; revision < 5; revision++) {
    storage.append(put(revision, 'some value'))
    await storage.settled()
  }
  await storage.close()
  return {directory, file: path.join(directory, `store.${storage.epoch}`)}
}

const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

const allFiles = (directory: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(directory).map((name) => [name, hash(readFileSync(path.join(directory, name)))]),
  )

/** What opening is refused with; all files stay as they are. */
const refusal = async (directory: string): Promise<LeashError> => {
  const before = allFiles(directory)
  const error: unknown = await openLogStorage(directory).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(LeashError)
  expect(allFiles(directory)).toEqual(before)
  return error as LeashError
}

const isOpen = async (storage: Storage): Promise<Storage> => {
  await storage.close()
  return storage
}

test('a write that was not finished when the power went is as if it had never been', async () => {
  const {directory, file} = await filledDirectory()
  const bytes = readFileSync(file)
  const end = bytes.findLastIndex((byte) => byte !== 0)
  // The last frame is shorter than a sector: it is there or not.
  bytes.fill(0, bytes.lastIndexOf('key 1') - 70, end + 1)
  writeFileSync(file, bytes)
  const {contents} = await isOpen(await openLogStorage(directory))
  expect(contents.revision).toBe(3)
  expect(contents.keys).toHaveLength(2)
})

test('a damaged file is named, with what to do, and left as it is', async () => {
  const {directory, file} = await filledDirectory()
  const bytes = readFileSync(file)
  const at = bytes.indexOf('some value')
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(file, bytes)
  const {message, wayOut} = await refusal(directory)
  expect(message).toMatch(`damaged: ${file} at byte `)
  expect(wayOut).toContain(`mv ${file} ${file}.damaged`)
  expect(wayOut).toContain('fencing tokens begin anew')
})

test('a file that was cut is damaged', async () => {
  const {directory, file} = await filledDirectory()
  const bytes = readFileSync(file)
  writeFileSync(file, bytes.subarray(0, bytes.lastIndexOf('some value') + 3))
  expect((await refusal(directory)).message).toMatch('damaged')
})

test('a log whose frames fill its file to the end is not taken for one that was cut', async () => {
  const directory = newDirectory()
  const storage = await openLogStorage(directory)
  const file = path.join(directory, `store.${storage.epoch}`)
  const nothing = {revision: 1, puts: [], deletions: [], granted: [], revoked: []}
  const begin = 32 + frame(encodeBatch(nothing)).length
  const {size} = statSync(file)
  const room = size - begin - frame(encodeBatch(put(2, ''))).length
  storage.append(put(2, 'x'.repeat(room)))
  await storage.settled()
  expect(frame(encodeBatch(put(2, 'x'.repeat(room)))).length).toBe(size - begin)
  expect(statSync(file).size).toBeGreaterThan(size)
  await storage.close()
  expect((await isOpen(await openLogStorage(directory))).contents.revision).toBe(2)
})

test('a file that is none of a store is damaged', async () => {
  const {directory, file} = await filledDirectory()
  writeFileSync(file, 'something else')
  expect((await refusal(directory)).message).toMatch('damaged')
})

test('a file of another version is left to the leash that has written it', async () => {
  const {directory, file} = await filledDirectory()
  const bytes = readFileSync(file)
  bytes.write('leash store, format 2\n', 'latin1')
  writeFileSync(file, bytes)
  expect(await refusal(directory)).toMatchObject({
    message: `the store of the local engine in ${file} has format 2, and this leash knows format 1`,
    wayOut: 'use the leash that has written it',
  })
})

test('a directory in which nothing can be made says so', async () => {
  // Not even root can.
  await expect(openLogStorage('/sys/kernel')).rejects.toMatchObject({
    code: 'config',
    message: expect.stringMatching(/in \/sys\/kernel cannot be read and written: E[A-Z]+$/) as string,
  })
})

test('a directory that is gone ends the engine whose it was', async () => {
  const directory = newDirectory()
  const storage = await openLogStorage(directory)
  rmSync(directory, {recursive: true})
  expect(storage.isCurrent()).toBe(false)
  await storage.close()
})

test('an engine whose directory was made anew has lost its store to the one that began there, and leaves it alone', async () => {
  const directory = newDirectory()
  const first = await openLogStorage(directory)
  // From here on the next write replaces the log.
  first.append(put(2, 'x'.repeat(5 * 1024 * 1024)))
  await first.settled()
  rmSync(directory, {recursive: true})
  mkdirSync(directory)
  const second = await openLogStorage(directory)
  expect(second.epoch).toBe(first.epoch)
  expect([first.isCurrent(), second.isCurrent()]).toEqual([false, true])
  second.append(put(2, 'of the second'))
  await second.settled()
  first.append(put(3, 'of the first'))
  await expect(first.settled()).rejects.toThrow(Superseded)
  await Promise.all([first.close(), second.close()])
  const {contents} = await isOpen(await openLogStorage(directory))
  expect(contents.keys.map(({value}) => value.toString())).toEqual(['of the second'])
})

test('a write is not acknowledged if another engine came before it was on the disk', async () => {
  const directory = newDirectory()
  const storage = await openLogStorage(directory)
  storage.append(put(2, 'too late'))
  const settled = storage.settled()
  settled.catch(() => {})
  // So it has begun, and what the disk says of it cannot have come yet.
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
  writeFileSync(path.join(directory, `store.${storage.epoch + 1}`), '')
  await expect(settled).rejects.toThrow(Superseded)
  await storage.close()
  // It had begun: the next one reads it.
  expect((await isOpen(await openLogStorage(directory))).contents.revision).toBe(2)
})

/** An engine that is in the middle of reading its store, through a pipe in the place of the file, which is aside. */
async function openingSlowly(): Promise<{
  directory: string
  file: string
  real: string
  opening: ReturnType<typeof openLogStorage>
  writer: number
}> {
  const {directory, file} = await filledDirectory()
  const [real, pipe] = [path.join(directory, 'real'), path.join(directory, 'pipe')]
  renameSync(file, real)
  execFileSync('mkfifo', [pipe])
  linkSync(pipe, file)
  const opening = openLogStorage(directory)
  opening.catch(() => {})
  const writer = await until('an engine to read', () => openForWriting(pipe), bound)
  return {directory, file, real, opening, writer}
}

test('an engine that is superseded while it begins has no fault, whatever comes of its file', async () => {
  const {directory, file, real, opening, writer} = await openingSlowly()
  const bytes = readFileSync(real).subarray(0, 4096)
  renameSync(real, file)
  const later = await openLogStorage(directory)
  mkdirSync(path.join(directory, 'store.2.new'))
  writeSync(writer, bytes)
  closeSync(writer)
  const slow = await opening
  expect([slow.epoch, later.epoch]).toEqual([2, 3])
  expect([slow.isCurrent(), later.isCurrent()]).toEqual([false, true])
  await Promise.all([slow.close(), later.close()])
})

test('a last write that is seen in halves is read again, and not taken for damage', async () => {
  const {file, real, opening, writer} = await openingSlowly()
  const bytes = readFileSync(real)
  writeSync(writer, bytes.subarray(0, bytes.lastIndexOf('some value') + 3))
  renameSync(real, file)
  closeSync(writer)
  expect((await isOpen(await opening)).contents.revision).toBe(4)
})

/** A pipe that somebody has opened to read it; undefined if nobody has. */
function openForWriting(pipe: string): number | undefined {
  try {
    return openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch {
    return undefined
  }
}

test('only the file of the latest epoch stays', async () => {
  const {directory, file} = await filledDirectory()
  writeFileSync(`${file}.new`, 'of an engine that was killed')
  const {epoch} = await isOpen(await openLogStorage(directory))
  expect(readdirSync(directory)).toEqual([`store.${epoch}`])
})

test('an engine that could not begin takes nothing with it', async () => {
  const {directory, file} = await filledDirectory()
  writeFileSync(path.join(directory, 'store.900'), '')
  const {epoch, contents} = await isOpen(await openLogStorage(directory))
  expect(epoch).toBe(901)
  expect(contents.keys).toHaveLength(3)
  expect(readdirSync(directory)).not.toContain(path.basename(file))
})

test('a file with a number that no epoch comes to is none of a store', async () => {
  const {directory} = await filledDirectory()
  writeFileSync(path.join(directory, 'store.100000000000000000000'), '')
  const {epoch, contents} = await isOpen(await openLogStorage(directory))
  expect([epoch, contents.keys.length]).toEqual([2, 3])
})

test('a long log is replaced by what it says', async () => {
  const directory = newDirectory()
  const storage = await openLogStorage(directory)
  const value = 'x'.repeat(256 * 1024)
  for (let revision = 2; revision < 100; revision++) {
    storage.append(put(revision, `${value}${revision}`))
    await storage.settled()
  }
  expect(statSync(path.join(directory, `store.${storage.epoch}`)).size).toBeLessThan(8 * 1024 * 1024)
  await storage.close()
  const {contents} = await isOpen(await openLogStorage(directory))
  expect(contents.revision).toBe(99)
  expect(contents.keys.map(({value: {length}, modRevision}) => [length, modRevision]).sort()).toEqual([
    [value.length + 2, 97],
    [value.length + 2, 98],
    [value.length + 2, 99],
  ])
})
