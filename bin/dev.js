#!/usr/bin/env node
// Runs the plain sources, as they are in src/, without a build.
import {register} from 'tsx/esm/api'

register()
const {main} = await import('../src/main.ts')
await main(process.argv.slice(2))
