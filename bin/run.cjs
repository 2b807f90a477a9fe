#!/usr/bin/env node
'use strict'
/* global __dirname */

/*
 * Loads the bundle with the code that V8 compiled in an earlier run. CommonJS and with this extension, because Node then
 * starts neither its ESM loader nor a search for package.json. docs/adr/0003 has the numbers.
 *
 * A code cache is code: V8 compares only the length of the source with it. So the file's name carries a hash of the
 * bundle, and a file is used only if it belongs to root, to the owner of the bundle or to the user who runs this, and
 * nobody else can write it. src/codeCache.ts writes it when the command has ended.
 */
const fs = require('node:fs')
const path = require('node:path')
const vm = require('node:vm')

const {O_NOFOLLOW, O_NONBLOCK, O_RDONLY} = fs.constants
const root = path.dirname(__dirname)
const bundle = path.join(root, 'dist/leash.cjs')
const args = process.argv.slice(2)

// With source maps or coverage Node must load the file itself.
if (process.sourceMapsEnabled || process.env.NODE_V8_COVERAGE) void require(bundle).main(args)
else runCached()

function runCached() {
  const fd = fs.openSync(bundle)
  const owner = fs.fstatSync(fd).uid
  const source = fs.readFileSync(fd, 'latin1')
  fs.closeSync(fd)

  const name = cacheName(source)
  const cache = trusted(path.join(root, '.cache/code', name), owner) ?? trusted(userFile(name))
  const script = new vm.Script(`(function(exports,require,module,__filename,__dirname){${source}\n})`, {
    filename: bundle,
    cachedData: cache?.subarray(0, -1),
  })
  // The last byte says whether the cache was made by a run to the good end, which has compiled all that such a run needs.
  const usable = cache !== undefined && !script.cachedDataRejected
  const stale = !usable || cache.at(-1) === 0
  // Otherwise V8 forgets, while a long job runs, what start and acquisition have compiled.
  if (stale) require('node:v8').setFlagsFromString('--no-flush-bytecode')

  // Code from a cache cannot import() on Node 20, so it is given this file's.
  const module = {exports: {}, Import: (specifier) => import(specifier)}
  script.runInThisContext()(module.exports, require, module, bundle, path.dirname(bundle))
  const {main, saveCodeCache} = module.exports
  if (stale) {
    process.on('exit', (status) => {
      if (!usable || status === 0)
        saveCodeCache({script, name, command: args[0], complete: status === 0, userFile})
    })
  }
  void main(args)
}

function cacheName(source) {
  const command = /^[a-z]+$/.test(args[0] ?? '') ? args[0] : 'leash'
  const flagged = process.execArgv.length > 0 || process.env.NODE_OPTIONS
  const flags = flagged ? `-${require('node:v8').cachedDataVersionTag()}` : ''
  return `${source.slice(2, 18)}-${process.version}-${process.arch}${flags}-${command}`
}

function userFile(name) {
  try {
    const {homedir} = require('node:os').userInfo()
    return path.join(homedir, '.cache/leash', name)
  } catch {
    return undefined
  }
}

function trusted(file, owner) {
  if (!file) return undefined
  try {
    const fd = fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    try {
      const stat = fs.fstatSync(fd)
      const trustedOwner = stat.uid === 0 || stat.uid === owner || stat.uid === process.getuid()
      return stat.isFile() && trustedOwner && (stat.mode & 0o022) === 0 ? fs.readFileSync(fd) : undefined
    } finally {
      fs.closeSync(fd)
    }
  } catch {
    return undefined
  }
}
