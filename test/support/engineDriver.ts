/** A local engine as a process: `engineDriver.ts DIRECTORY SOCKET`. Says `ready` when it serves, and why it has ended. */
import {systemClock} from '../../src/lib/systemClock.ts'
import {startEngine} from '../../src/lib/local/engine.ts'

const [, , directory = '', socketPath = ''] = process.argv
const engine = await startEngine({directory, socketPath, clock: systemClock()})
console.log('ready')
process.once('SIGTERM', () => void engine.stop())
console.log((await engine.ended).why)
