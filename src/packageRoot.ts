import {createRequire} from 'node:module'
import {fileURLToPath} from 'node:url'
import type {Interfaces} from '@oclif/core'

/** The directory of package.json. */
export const packageRoot = fileURLToPath(new URL('..', import.meta.url))

/** What package.json says. The bundle has it inlined: the build puts another module in the place of this one. */
export const packageJson = createRequire(import.meta.url)('../package.json') as Interfaces.PJSON
