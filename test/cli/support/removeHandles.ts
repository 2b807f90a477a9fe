import {readdirSync, readFileSync, rmSync} from 'node:fs'
import path from 'node:path'
import {systemWorld} from '../../../src/lib/config/world.ts'
import {prepareHandleDirectory} from '../../../src/lib/handle/handleDirectory.ts'

/** Removes the handles of locks that were taken at this etcd: their directory is that of whoever runs the tests. */
export const removeHandles = ({url}: {url: string}): void => {
  const directory = prepareHandleDirectory(systemWorld())
  for (const name of readdirSync(directory)) {
    const file = path.join(directory, name)
    if (/^[0-9a-f]+$/.test(name) && readFileSync(file, 'utf8').includes(`"${url}"`)) rmSync(file)
  }
}
