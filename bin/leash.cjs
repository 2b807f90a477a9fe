#!/bin/sh
'false' && /*
# Made by "npm run build" from src/launcher.
# The part of bin/leash.cjs that sh runs: it notes what Node is about to lose, and then becomes Node, with this file as its
# script. docs/adr/0008 says what is lost and why this way. Node finds its file also if that was started by a link, which sh
# could not follow by itself.

command -v node >/dev/null || {
  echo 'leash: node was not found; install Node.js 20.19 or newer, or add its directory to PATH' >&2
  exit 127
}

# Without /proc there is nothing to note, and Node goes on with what it has left.
if [ -r /proc/self/stat ]; then
  # bash and busybox ignore QUIT by themselves; with a trap, only if they were told to.
  trap 'exit 131' QUIT
  read -r leash_stat </proc/self/stat

  # A descriptor that nobody uses; empty if there is none.
  for leash_fd in 9 8 7 6 5 4 3 ''; do
    [ -L "/proc/self/fd/$leash_fd" ] || break
  done

  # The witness is a copy of this shell as it was started: /proc has its environment byte by byte, its descriptors and its
  # limits for as long as it lives. It ends when nobody has the other end of its pipe any more, so when Node closes it,
  # or dies however it may. It is a child of a child, so that init buries it. The pipe is that of a here-document; if a
  # shell makes a file of it, the witness ends at once. "command" keeps the shell alive if one of these fails.
  [ "$leash_fd" ] && eval "
    {
      command exec $leash_fd<<E && command exec $leash_fd<>/proc/self/fd/$leash_fd
x
E
    } 2>/dev/null &&
    leash_witness=\$(
      {
        exec $leash_fd</proc/self/fd/$leash_fd <&$leash_fd
        while read -r _; do :; done
      } >/dev/null 2>&1 &
      echo \$!
    )" || leash_witness=0

  # Node would take a channel to the parent for its own and read the job's messages. The witness still has the variable.
  [ "$leash_witness" = 0 ] || unset NODE_CHANNEL_FD
  export LEASH_LAUNCH="$leash_witness $leash_fd $leash_stat"
fi

exec node "$0" "$@"
*/ (() => {
'use strict'
/* global __dirname */

/*
 * The part of bin/leash.cjs that Node runs: loads the bundle with the code that V8 compiled in earlier runs. CommonJS and
 * with this extension, because Node then starts neither its ESM loader nor a search for package.json. docs/adr/0003 has the
 * numbers.
 *
 * A code cache is code: V8 compares only the length of the source with it. So the file's name carries a hash of the
 * bundle, and a file is used only if it belongs to root, to the owner of the bundle or to the user who runs this, and
 * nobody else can write it. src/codeCache.ts writes it, and says what its last byte means.
 */
const fs = require('node:fs')
const path = require('node:path')
const vm = require('node:vm')

const {O_NOFOLLOW, O_NONBLOCK, O_RDONLY} = fs.constants
const root = path.dirname(__dirname)
const bundle = path.join(root, 'dist/leash.cjs')
const args = process.argv.slice(2)

// With source maps or coverage Node must load the file itself.
if (process.sourceMapsEnabled || process.env.NODE_V8_COVERAGE) void evaluate(require(bundle)).main(args)
else runCached()

/** @returns what src/main.ts exports */
function evaluate(bundled) {
  const module = {exports: {}}
  // Code from a cache cannot import() on Node 20, so it is given this file's.
  bundled(module.exports, require, module, bundle, path.dirname(bundle), (specifier) => import(specifier))
  return module.exports
}

function runCached() {
  const fd = fs.openSync(bundle)
  const owner = fs.fstatSync(fd).uid
  const source = fs.readFileSync(fd, 'latin1')
  fs.closeSync(fd)

  const name = cacheName(source)
  const places = {shared: path.join(root, '.cache/code', name), own: () => ownFile(name)}
  let cache = read(places.shared, owner)
  if (!cache || (!cache.own && !cache.learned)) cache = read(places.own()) ?? cache
  const script = new vm.Script(source, {filename: bundle, cachedData: cache?.data.subarray(0, -1)})
  if (script.cachedDataRejected) cache = undefined

  const {main, learnCode} = evaluate(script.runInThisContext())
  if (!cache?.learned) learnCode({script, cache, places})
  void main(args)
}

/** One cache for each command. What else decides whether V8 may use the code is in V8's tag, if it is not as usual. */
function cacheName(source) {
  const command = /^[a-z]+$/.test(args[0] ?? '') ? args[0] : 'leash'
  const flagged = process.execArgv.length > 0 || process.env.NODE_OPTIONS
  const flags = flagged ? `-${require('node:v8').cachedDataVersionTag()}` : ''
  return `${source.slice(2, 18)}-${process.version}-${process.arch}${flags}-${command}`
}

/** By the password file, as the environment's HOME may be another user's. */
function ownFile(name) {
  try {
    return path.join(require('node:os').userInfo().homedir, '.cache/leash/code', name)
  } catch {
    return undefined
  }
}

function read(file, bundleOwner) {
  if (!file) return undefined
  try {
    const fd = fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    try {
      const stat = fs.fstatSync(fd)
      const own = stat.uid === process.getuid()
      const trusted = own || stat.uid === 0 || stat.uid === bundleOwner
      if (!trusted || !stat.isFile() || (stat.mode & 0o022) !== 0) return undefined
      const data = fs.readFileSync(fd)
      return {file, own, data, learned: data.at(-1) === 255}
    } finally {
      fs.closeSync(fd)
    }
  } catch {
    return undefined
  }
}
})()
