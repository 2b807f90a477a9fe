import {openLogStorage} from '../../src/lib/local/logStorage.ts'

/*
 * Opens the store in a directory and fills it until it cannot be written any more; prints the last revision that was on the disk,
 * and why not more.
 */
const [directory = ''] = process.argv.slice(2)
const value = Buffer.alloc(64 * 1024, 'x')
let revision = 1
try {
  const storage = await openLogStorage(directory)
  for (;;) {
    const modRevision = revision + 1
    const kv = {value, createRevision: modRevision, modRevision, version: 1, lease: 0n}
    const puts = [{...kv, key: Buffer.from(`key ${modRevision}`)}]
    storage.append({revision: modRevision, puts, deletions: [], granted: [], revoked: []})
    await storage.settled()
    revision = modRevision
  }
} catch (error) {
  const {message, wayOut, code} = error as {message: string; wayOut: string; code: string}
  console.log(JSON.stringify({revision, message, wayOut, code}))
}
