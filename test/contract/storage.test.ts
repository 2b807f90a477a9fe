import {rmSync} from 'node:fs'
import {describe, expect, onTestFinished, test} from 'vitest'
import {openLogStorage} from '../../src/lib/local/logStorage.ts'
import {type Batch, type Storage, Superseded} from '../../src/lib/local/storage.ts'
import type {KeyValue} from '../../src/lib/local/values.ts'
import {MemoryDisk} from '../support/memoryStorage.ts'
import {scratchDirectory} from '../support/scratch.ts'

const kv = (key: string, revision: number, value = 'value'): KeyValue => ({
  key: Buffer.from(key),
  value: Buffer.from(value),
  createRevision: revision,
  modRevision: revision,
  version: 1,
  lease: -5n,
})

const batch = (revision: number, changes: Partial<Batch> = {}): Batch => ({
  revision,
  puts: [],
  deletions: [],
  granted: [],
  revoked: [],
  ...changes,
})

type Open = () => Promise<Storage>

/** What every storage of the engine promises: the sentences of `local/storage.ts`. */
const storageContract = (name: string, makeDisk: () => Open): void => {
  describe(name, () => {
    test('is empty at first, at the first revision', async () => {
      const {contents, epoch} = await makeDisk()()
      expect(contents).toEqual({revision: 1, keys: [], leases: [], lastDeletions: []})
      expect(epoch).toBeGreaterThan(0)
    })

    test('gives back what had settled', async () => {
      const open = makeDisk()
      const storage = await open()
      const lease = {id: -(2n ** 63n), ttlSeconds: 9_000_000_000}
      storage.append(batch(1, {granted: [lease, {id: 7n, ttlSeconds: 2}]}))
      storage.append(batch(2, {puts: [kv('a', 2), kv('b', 2), kv('\0\xff', 2, '')]}))
      await storage.settled()
      storage.append(batch(3, {puts: [kv('b', 3, 'new')], deletions: [Buffer.from('a')]}))
      storage.append(batch(4, {revoked: [7n]}))
      await storage.settled()
      const {contents} = await open()
      expect(contents.revision).toBe(4)
      expect(contents.leases).toEqual([lease])
      expect(new Set(contents.keys)).toEqual(new Set([kv('b', 3, 'new'), kv('\0\xff', 2, '')]))
    })

    test('gives back what was taken before it was closed', async () => {
      const open = makeDisk()
      const storage = await open()
      for (let revision = 2; revision < 100; revision++)
        storage.append(batch(revision, {puts: [kv('a', revision)]}))
      await storage.close()
      expect((await open()).contents).toEqual({
        revision: 99,
        keys: [kv('a', 99)],
        leases: [],
        lastDeletions: [],
      })
    })

    test('knows what its last revision has deleted, and nothing of those before', async () => {
      const open = makeDisk()
      const storage = await open()
      storage.append(batch(2, {puts: [kv('a', 2), kv('b', 2), kv('c', 2)]}))
      storage.append(batch(3, {deletions: [Buffer.from('a')]}))
      storage.append(batch(4, {deletions: [Buffer.from('b'), Buffer.from('c')]}))
      storage.append(batch(4, {granted: [{id: 7n, ttlSeconds: 2}]}))
      await storage.settled()
      for (const again of [await open(), await open()])
        expect(again.contents.lastDeletions.map(String)).toEqual(['b', 'c'])
    })

    test('acknowledges nothing that was taken after another one was opened', async () => {
      const open = makeDisk()
      const first = await open()
      expect(first.isCurrent()).toBe(true)
      const second = await open()
      expect(second.epoch).toBeGreaterThan(first.epoch)
      expect([first.isCurrent(), second.isCurrent()]).toEqual([false, true])
      first.append(batch(2, {puts: [kv('late', 2)]}))
      await expect(first.settled()).rejects.toThrow(Superseded)
      first.append(batch(3))
      await expect(first.settled()).rejects.toThrow(Superseded)
      expect((await open()).contents.keys).toEqual([])
    })

    test('acknowledges nothing that the one opened meanwhile does not have', async () => {
      const open = makeDisk()
      for (let round = 0; round < 20; round++) {
        const first = await open()
        const key = `key ${round}`
        const opening = open()
        first.append(batch(round + 2, {puts: [kv(key, round + 2)]}))
        const isAcknowledged = await first.settled().then(
          () => true,
          () => false,
        )
        const {contents} = await opening
        const isThere = contents.keys.some((one) => one.key.toString() === key)
        expect(isThere || !isAcknowledged).toBe(true)
      }
    })

    test('gives each of many that are opened at once an epoch of its own, and one of them the store', async () => {
      const open = makeDisk()
      const storages = await Promise.all(Array.from({length: 10}, open))
      expect(new Set(storages.map(({epoch}) => epoch)).size).toBe(10)
      expect(storages.filter((storage) => storage.isCurrent())).toHaveLength(1)
    })
  })
}

/** Opens them, and closes them at the end of the test. */
const closing = (open: Open): Open => {
  const opened: Storage[] = []
  onTestFinished(async () => {
    for (const storage of opened) await storage.close()
  })
  return async () => {
    const storage = await open()
    opened.push(storage)
    return storage
  }
}

storageContract('the storage in memory', () => {
  const disk = new MemoryDisk()
  return closing(() => Promise.resolve(disk.open()))
})

storageContract('the log', () => {
  const directory = scratchDirectory('store')
  onTestFinished(() => rmSync(directory, {recursive: true, force: true}))
  return closing(() => openLogStorage(directory))
})
