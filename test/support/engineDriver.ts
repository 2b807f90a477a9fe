/** A local engine as a process: `engineDriver.ts DIRECTORY SOCKET`. Says `ready` when it serves, and why it has ended. */
import {systemClock} from '../../src/lib/systemClock.ts'
import {serveStorage} from '../../src/lib/local/engine.ts'
import {MemoryDisk} from './memoryStorage.ts'

const [, , , socketPath = ''] = process.argv
const engine = await serveStorage(new MemoryDisk().open(), {socketPath, clock: systemClock()})
console.log('ready')
process.once('SIGTERM', () => void engine.stop())
console.log((await engine.ended).why)
