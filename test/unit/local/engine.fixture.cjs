/*
 * Stands in for an engine: listens at argv[2] after argv[3] milliseconds, or says why not: argv[4]. Leaves a file beside its
 * socket for each start, which holds what it found itself in.
 */
'use strict'
const {
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
  writeSync,
  closeSync,
} = require('node:fs')
const {createServer} = require('node:net')
const {setTimeout} = require('node:timers')

const [, , socket, delayMs, fault] = process.argv
const stat = readFileSync('/proc/self/stat', 'latin1').split(') ').at(-1).split(' ')
const descriptors = readdirSync('/proc/self/fd').flatMap((fd) => {
  try {
    return [[fd, readlinkSync(`/proc/self/fd/${fd}`)]]
  } catch {
    return []
  }
})
const world = {
  pid: process.pid,
  session: Number(stat[3]),
  cwd: process.cwd(),
  env: {...process.env},
  descriptors: Object.fromEntries(descriptors),
}
writeFileSync(`${socket}.${process.pid}.start`, JSON.stringify(world))
setTimeout(() => {
  const say = (text) => {
    writeSync(3, text)
    closeSync(3)
  }
  if (fault) return say(fault)
  rmSync(socket, {force: true})
  createServer((connection) => connection.on('error', () => {})).listen(socket, () => say('ready\n'))
}, Number(delayMs))
// Nobody ends it if a test does not.
setTimeout(() => process.exit(), 30_000)
