'use strict'
// Stands where src/launcher/load.cjs does, and says as one line of JSON what it inherits. `hold`: ends when its stdin does. `exit N`: with N. The first word is always `run`: no other command has a witness.
const fs = require('node:fs')
const {takeInheritance} = require('./inheritance.cjs')

const given = takeInheritance()
const [word, status] = process.argv.slice(3)
const said = {
  ...given,
  rawEnv: Object.fromEntries([...given.rawEnv].map(([name, value]) => [name, value.toString('latin1')])),
  args: process.argv.slice(3),
  pid: process.pid,
  hasChannel: process.channel !== undefined,
  /** What is left for whoever looks into Node's own environment. */
  variables: Object.keys(process.env),
  openNow: openDescriptors(),
}
if (word === 'exit') process.exitCode = Number(status)
else process.stdout.write(`${JSON.stringify(said)}\n`)
if (word === 'hold') process.stdin.resume()

function openDescriptors() {
  const directory = '/proc/self/fd'
  if (!fs.existsSync(directory)) return []
  // Without the one by which we look, which is closed by then.
  return fs
    .readdirSync(directory)
    .map(Number)
    .filter((one) => fs.existsSync(`${directory}/${one}`))
}
