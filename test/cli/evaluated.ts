import {readdirSync, readFileSync} from 'node:fs'
import path from 'node:path'
import {fileURLToPath} from 'node:url'

/** What a process loaded and ran, by the account that V8 gave of it. */
export interface Evaluated {
  /** Modules that were loaded from files. */
  files: string[]
  /** Packages of node_modules of which the bundle evaluated at least one module. */
  packages: string[]
  /** How much of the bundle's text ran at least once. */
  bytes: number
}

interface Range {
  startOffset: number
  endOffset: number
  count: number
}
interface Script {
  url: string
  functions: {functionName: string; ranges: Range[]}[]
}

/** Reads the only file that a process with NODE_V8_COVERAGE has left in `directory`. */
export function evaluated(directory: string, bundle: string): Evaluated {
  const [file = '', ...more] = readdirSync(directory)
  if (more.length) throw new Error('more than one Node process has run')
  const {result} = JSON.parse(readFileSync(path.join(directory, file), 'utf8')) as {result: Script[]}
  const scripts = result.filter(({url}) => url.startsWith('file:'))
  const functions = scripts.find(({url}) => fileURLToPath(url) === bundle)?.functions ?? []
  // The bundler wraps each module in a function that is named after the module's file.
  const modules = functions
    .filter(({ranges: [whole]}) => whole && whole.count > 0)
    .map((one) => one.functionName)
  const packages = modules.flatMap(
    (name) => /(?:^|.*\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(name)?.[1] ?? [],
  )
  return {
    files: scripts.map(({url}) => fileURLToPath(url)).toSorted(),
    packages: [...new Set(packages)].toSorted(),
    bytes: bytesThatRan(functions.flatMap(({ranges}) => ranges)),
  }
}

/** Ranges are nested: an inner one says better what the outer one said about its part. */
function bytesThatRan(ranges: Range[]): number {
  const outerFirst = ranges.toSorted((a, b) => b.endOffset - b.startOffset - (a.endOffset - a.startOffset))
  const ran = new Uint8Array(Math.max(0, ...ranges.map(({endOffset}) => endOffset)))
  for (const {startOffset, endOffset, count} of outerFirst)
    ran.fill(count > 0 ? 1 : 0, startOffset, endOffset)
  return ran.reduce((sum, byte) => sum + byte, 0)
}
