/** Lets a stub become a command, and hands on what it was started with. `stubDriver.ts '[DESCRIPTOR...]' COMMAND...` */
import {Stub} from '../../../src/lib/child/stub.ts'
import {inheritance} from './inheritance.fixture.ts'

const [descriptors = '[]', command = '', ...args] = process.argv.slice(2)
const stub = await Stub.start({
  argv: [command, ...args],
  inheritance: {...inheritance(), descriptors: JSON.parse(descriptors) as number[]},
  marker: 'LEASH_RUN_driver',
  foreground: false,
})
stub.process.once('exit', (code) => (process.exitCode = code ?? 1))
stub.go({})
