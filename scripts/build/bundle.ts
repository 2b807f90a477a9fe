import {mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {createHash} from 'node:crypto'
import path from 'node:path'
import {build, type Metafile, type Plugin} from 'esbuild'
import {clientRpcs, generateCodecs} from './codecs.ts'
import {generatedCodecs, leftOut} from './generatedCodecs.ts'
import {lazyRequire} from './lazyRequire.ts'

/** Loaded by import() from node_modules when something is shown on a terminal; it need not be in the bundle. */
const external = ['ora']

/** Packages that TypeScript emitted as CommonJS and whose modules have no effect on loading that another one waits for. */
const lazyPackages = ['@oclif/core', '@grpc/grpc-js', 'etcd3', 'cockatiel']

/** What the bundler puts in the place of an expression. */
export const constants = {
  // oclif's switch for its check of Node's version, which loads a parser of versions.
  'process.env.OCLIF_DISABLE_ENGINE_WARNING': '"1"',
  // `long` compiles a WebAssembly module to multiply; without one it does so in JavaScript, and starts 1 ms earlier.
  WebAssembly: 'undefined',
}

export interface BundleInput {
  /** The directory of package.json. */
  root: string
  /** A directory for what is generated on the way, in which packages are found as in `root`. */
  generated: string
  outfile: string
  /** What is to be built in another way. */
  plugins?: readonly Plugin[]
}

/** What the launcher gives the bundle: what Node gives a CommonJS module, and its own import(), see {@link finished}. */
const parameters = 'exports,require,module,__filename,__dirname,Import'

/**
 * Makes the one file that the installed command loads: src/main.ts and all it needs, as CommonJS in ASCII, with a source
 * map. Its first line is a comment with a hash of what follows, for the name of the code cache.
 */
export async function bundle({root, generated, outfile, plugins = []}: BundleInput): Promise<Metafile> {
  const codecs = await generateCodecs(path.join(generated, 'client'), clientRpcs)
  const result = await build({
    absWorkingDir: root,
    entryPoints: [path.join(root, 'src/main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    charset: 'ascii',
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    minifyWhitespace: true,
    minifySyntax: true,
    external,
    // As a script, it comes to this function, which the launcher calls; required by Node, it exports it.
    banner: {js: `(typeof module==='object'?module:{}).exports=(function(${parameters}){`},
    footer: {js: '})'},
    define: constants,
    metafile: true,
    logLevel: 'warning',
    plugins: [
      ...plugins,
      inlinePackageJson(root),
      oclifByParts(root),
      generatedCodecs('/node_modules/etcd3/', codecs),
      withoutTypeScript,
      lazyModules(root),
      asciiOnly,
      cheapIsIPv6,
      engineApart,
    ],
    write: false,
  })
  if (result.warnings.length) throw new Error('the bundler warned; see above')
  mkdirSync(path.dirname(outfile), {recursive: true})
  for (const file of result.outputFiles) {
    writeFileSync(file.path, file.path === outfile ? finished(file.text) : file.text)
  }
  return result.metafile
}

/**
 * Adds the hash, on the first line, and turns `import(` into `Import(`: code that comes from V8's code cache cannot import
 * by itself (on Node 20 it has lost the loader), so the launcher hands its own import in. No position changes but on the
 * first line, so the source map stays right.
 */
function finished(source: string): string {
  if (/\P{ASCII}/u.test(source)) throw new Error('the bundle is not ASCII, but the launcher reads it as that')
  const [banner, ...lines] = source.split('\n')
  const code = [banner, lines.join('\n').replaceAll(/(?<![\w$.'"`])import\((?!\))/g, 'Import(')].join('\n')
  return `/*${createHash('sha256').update(code).digest('hex').slice(0, 16)}*/${code}`
}

/** Inlines what the command needs of package.json, so that it is not read at start. */
function inlinePackageJson(root: string): Plugin {
  const {name, version, oclif} = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Record<
    string,
    unknown
  >
  return {
    name: 'inline-package-json',
    setup(build) {
      build.onLoad({filter: /\/src\/packageRoot\.ts$/}, () => ({
        contents: `
          import {dirname} from 'node:path'
          export const packageRoot = dirname(__dirname)
          export const packageJson = ${JSON.stringify({name, version, oclif})}`,
        loader: 'js',
      }))
    },
  }
}

/** oclif's documented entry points, by the names under which its index exports them. */
const oclifParts: Record<string, string> = {
  Args: "require('@oclif/core/args')",
  Command: "require('@oclif/core/command').Command",
  Config: "require('@oclif/core/config').Config",
  Errors: "require('@oclif/core/errors')",
  Flags: "require('@oclif/core/flags')",
  Help: "require('@oclif/core/help').Help",
  CommandHelp: "require('@oclif/core/help').CommandHelp",
  Parser: "require('@oclif/core/parser')",
  ux: "require('@oclif/core/ux').ux",
}

/** Replaces oclif's index, which loads all of oclif, by one that loads a part when it is asked for. */
function oclifByParts(root: string): Plugin {
  const getters = Object.entries(oclifParts).map(([name, value]) => `get ${name}() { return ${value} }`)
  return {
    name: 'oclif-by-parts',
    setup(build) {
      build.onResolve({filter: /^@oclif\/core$/}, () => ({path: 'oclif', namespace: 'oclif-by-parts'}))
      build.onLoad({filter: /.*/, namespace: 'oclif-by-parts'}, () => ({
        contents: `module.exports = {__esModule: true, ${getters.join(',\n')}}`,
        resolveDir: root,
      }))
    },
  }
}

/** oclif looks for these to run a plugin's TypeScript sources. The bundle has neither, and oclif catches their absence. */
const withoutTypeScript: Plugin = {
  name: 'without-typescript',
  setup(build) {
    build.onResolve({filter: /^(typescript|ts-node)$/}, leftOut)
  },
}

/** The local engine is a process of its own, and no other command has any of it. */
const engineApart: Plugin = {
  name: 'engine-apart',
  setup(build) {
    // As the launcher finds it, whose import() this is.
    build.onResolve({filter: /\/local\/engine\.ts$/}, () => ({path: '../dist/engine.cjs', external: true}))
  },
}

/**
 * Statements of packages that are left out, by the file that has each exactly once.
 *
 * oclif listens for errors of stdout as soon as it has the base class of commands. That opens stdout, which takes a
 * millisecond and makes a pipe non-blocking for all who share it, while a run waits. What it is for, a reader that goes
 * away, console.log and so oclif's own log() survive by themselves.
 */
const leftOutStatements: Record<string, RegExp> = {
  '@oclif/core/lib/command.js': /^process\.stdout\.on\('error', \(err\) => \{\n[^}]*^\}\);$/m,
}

function withoutStatement(file: string, source: string): string {
  const [, name = ''] = file.split('/node_modules/')
  const statement = leftOutStatements[name]
  if (!statement) return source
  const found = statement.exec(source)?.[0]
  if (!found)
    throw new Error(`${name} has changed: look whether the bundle should still leave a statement out`)
  return source.replace(found, '\n'.repeat(found.split('\n').length - 1))
}

function lazyModules(root: string): Plugin {
  const inPackage = new RegExp(`/node_modules/(${lazyPackages.join('|')})/.*\\.js$`)
  return {
    name: 'lazy-modules',
    setup(build) {
      build.onLoad({filter: inPackage}, ({path: file}) => ({
        contents: lazyRequire(withoutStatement(file, readFileSync(file, 'utf8')), path.relative(root, file)),
        loader: 'js',
      }))
    },
  }
}

/** esbuild escapes what is not ASCII, but not inside regular expressions, of which one package has such a one. */
const asciiOnly: Plugin = {
  name: 'ascii-only',
  setup(build) {
    build.onLoad({filter: /\/node_modules\/ansis\/.*js$/}, ({path: file}) => ({
      contents: readFileSync(file, 'utf8').replaceAll(
        /\P{ASCII}/gu,
        (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
      ),
      loader: 'js',
    }))
  },
}

/**
 * Spares Node 20 a regular expression for IPv6 that takes 3 ms to compile, for addresses without a colon, which are none.
 * (Newer Node has no such cost.)
 */
const cheapIsIPv6: Plugin = {
  name: 'cheap-is-ipv6',
  setup(build) {
    build.onResolve({filter: /^net$/}, ({importer, path}) =>
      importer.includes('/node_modules/@grpc/grpc-js/') ? {path, namespace: 'cheap-is-ipv6'} : undefined,
    )
    build.onLoad({filter: /.*/, namespace: 'cheap-is-ipv6'}, () => ({
      contents: `
        const net = require('node:net')
        const isIPv6 = (text) => String(text).includes(':') && net.isIPv6(text)
        module.exports = Object.create(net, {isIPv6: {value: isIPv6}})`,
    }))
  },
}
