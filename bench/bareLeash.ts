import {copyFileSync, mkdirSync} from 'node:fs'
import path from 'node:path'
import type {Plugin} from 'esbuild'
import {bundle} from '../scripts/build/bundle.ts'

const bareJob: Plugin = {
  name: 'bare-job',
  setup(build) {
    build.onResolve({filter: /\/guardedJob\.ts$/}, () => ({
      path: path.join(import.meta.dirname, 'bareJob.ts'),
    }))
  },
}

/**
 * Builds leash without guard, stub, containment and launcher.
 *
 * @param root the directory of package.json
 * @returns the file to run with Node
 */
export async function buildBareLeash(root: string): Promise<string> {
  const bare = path.join(root, '.cache/bench/bare')
  const generated = path.join(root, '.cache/build')
  mkdirSync(path.join(bare, 'bin'), {recursive: true})
  await bundle({root, generated, outfile: path.join(bare, 'dist/leash.cjs'), plugins: [bareJob]})
  const launcher = path.join(bare, 'bin/leash.cjs')
  copyFileSync(path.join(root, 'src/launcher/load.cjs'), launcher)
  return launcher
}
