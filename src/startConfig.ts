import {Config, type Interfaces} from '@oclif/core'
import {setLogger} from '@oclif/core/logger'

/**
 * oclif's configuration as far as a running command needs it: made from package.json alone, which the bundle has
 * inlined. No manifest, no plugin, no hook, no theme, no look at the machine. For help, oclif's own is loaded.
 */
class StartConfig extends Config {
  /** There are no plugins, so nobody listens. */
  override async runHook(): Promise<{failures: []; successes: []}> {
    return Promise.resolve({failures: [], successes: []})
  }
}

/** oclif's configuration with the manifest's commands, as help needs it. The user's files have no say in it. */
class HelpConfig extends Config {
  override async loadTheme(): Promise<undefined> {
    return Promise.resolve(undefined)
  }
}

const ignore = (): void => {}
const silent: Interfaces.Logger = {
  namespace: 'oclif',
  child: () => silent,
  debug: ignore,
  error: ignore,
  info: ignore,
  trace: ignore,
  warn: ignore,
}

export async function helpConfig(pjson: Interfaces.PJSON, root: string): Promise<Config> {
  const config = new HelpConfig({root, pjson, userPlugins: false, devPlugins: false})
  await config.load()
  return config
}

/** Also silences oclif's debug log, whose logger is a package of its own. */
export function startConfig(pjson: Interfaces.PJSON, root: string): Config {
  setLogger({root, logger: silent})
  const config = new StartConfig({root, pjson})
  config.root = root
  config.pjson = pjson
  config.name = pjson.name
  config.bin = pjson.oclif.bin ?? pjson.name
  config.version = pjson.version
  config.userAgent = `${config.name}/${config.version} ${process.platform}-${process.arch} node-${process.version}`
  config.valid = true
  return config
}
