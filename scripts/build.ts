import {spawnSync} from 'node:child_process'
import {rmSync} from 'node:fs'
import path from 'node:path'
import {bundle} from './build/bundle.ts'
import {bundleEngine} from './build/engineBundle.ts'
import {writeLauncher} from './build/launcher.ts'
import {writeLicenses} from './build/licenses.ts'

/*
 * Makes all that is generated:
 *
 *   dist/             the plain sources as JavaScript with types: the library, and what oclif reads for the manifest
 *   dist/leash.cjs    the installed command in one file, with a source map
 *   dist/engine.cjs   the local engine, likewise
 *   dist/THIRD-PARTY-LICENSES.txt
 *   bin/leash.cjs     the installed command: a part for sh and one for Node, from src/launcher
 *   oclif.manifest.json   what help says about the commands; in git, so that a change of the interface is seen in review
 */
const root = path.dirname(import.meta.dirname)
const dist = path.join(root, 'dist')
const generated = path.join(root, '.cache/build')

rmSync(dist, {recursive: true, force: true})
rmSync(path.join(root, '.cache/code'), {recursive: true, force: true})

runTool('typescript/bin/tsc', '--project', 'tsconfig.build.json')
const command = await bundle({root, generated, outfile: path.join(dist, 'leash.cjs')})
const engine = await bundleEngine(root, generated, path.join(dist, 'engine.cjs'))
const inputs = {...command.inputs, ...engine.inputs}
writeLicenses(root, Object.keys(inputs), path.join(dist, 'THIRD-PARTY-LICENSES.txt'))
writeLauncher(root, path.join(root, 'src/launcher/load.cjs'), path.join(root, 'bin/leash.cjs'))
runTool('oclif/bin/run.js', 'manifest')

/** Runs a tool of node_modules, silent if all is well. */
function runTool(script: string, ...args: string[]): void {
  const file = path.join(root, 'node_modules', script)
  const {status, stdout, stderr} = spawnSync(process.execPath, [file, ...args], {cwd: root, encoding: 'utf8'})
  if (status === 0) return
  console.error(`${stdout}${stderr}${script} ended with ${status}`)
  process.exit(1)
}
