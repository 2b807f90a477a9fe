import {readFileSync, writeFileSync} from 'node:fs'
import path from 'node:path'

/**
 * Writes an executable file in two languages. sh runs the one part, which has to become `node "$0" "$@"`, and Node the
 * other. A second file would cost each start 0.6 ms.
 *
 * The second line, to sh: the command "false" fails, so what follows "&&" is neither run nor expanded. To JavaScript: a
 * text, which counts as true, so what follows "&&" is evaluated, and that comes behind a comment. The comment ends in a line
 * that sh does not reach.
 *
 * @param root the directory of package.json
 * @param script the path of Node's part, a CommonJS module
 * @param outfile the file to write
 */
export function writeLauncher(root: string, script: string, outfile: string): void {
  const shell = readFileSync(path.join(root, 'src/launcher/launch.sh'), 'utf8')
  if (shell.includes('*/')) throw new Error('launch.sh ends the comment in which it stands')
  const text = `#!/bin/sh
'false' && /*
# Made by "npm run build" from src/launcher.
${shell}*/ (() => {
${readFileSync(script, 'utf8')}})()
`
  writeFileSync(outfile, text, {mode: 0o755})
}
