import {existsSync, mkdirSync, rmSync} from 'node:fs'
import {connect} from 'node:net'
import path from 'node:path'
import {afterAll, beforeEach, describe, expect, test} from 'vitest'
import {type KeeperServer, askKeeper, serveKeeper, socketPath} from '../../../src/lib/handle/keeperSocket.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {until, within} from '../../support/wait.ts'

const directory = scratchDirectory('socket')
afterAll(() => rmSync(directory, {recursive: true}))

let handle: string
let count = 0
beforeEach(() => {
  handle = path.join(directory, String(count++))
})

const limitMs = 10_000
const soon = {withinMs: 10_000}

/** A keeper that answers with what it was asked; `await using` closes it. */
const serve = async (
  answer: (request: string) => Promise<string> = (request) => Promise.resolve(`asked to ${request}`),
): Promise<KeeperServer & AsyncDisposable> => {
  const server = await serveKeeper(socketPath(handle), answer)
  return Object.assign(server, {[Symbol.asyncDispose]: () => server.close()})
}
const ask = (request: 'release' | 'renew', withinMs = limitMs): Promise<string | undefined> =>
  askKeeper(socketPath(handle), request, withinMs)

describe('a keeper', () => {
  test('answers each who asks, also several at the same time', async () => {
    await using server = await serve()
    expect(server).toBeDefined()
    expect(await Promise.all([ask('release'), ask('renew'), ask('renew')])).toEqual([
      'asked to release',
      'asked to renew',
      'asked to renew',
    ])
  })

  test('answers what was asked before it closed, and nobody afterwards; its socket is gone', async () => {
    let reply: (answer: string) => void = () => {}
    let isAsked = false
    const server = await serve(() => {
      isAsked = true
      return new Promise((resolve) => (reply = resolve))
    })
    const asked = ask('release')
    await until('the request', () => isAsked, soon)
    const closing = server.close()
    expect(existsSync(socketPath(handle))).toBe(false)
    expect(await ask('renew')).toBeUndefined()
    reply('removed')
    expect(await asked).toBe('removed')
    await closing
  })

  test('is closed though somebody is connected who never asks', async () => {
    const server = await serve()
    const silent = connect(socketPath(handle))
    await new Promise((resolve) => silent.once('connect', resolve))
    await within('it to close', server.close(), soon)
    silent.destroy()
  })

  test('has no answer to anything else', async () => {
    await using server = await serve()
    expect(server).toBeDefined()
    const socket = connect(socketPath(handle))
    let said = ''
    socket.on('data', (bytes) => (said += String(bytes)))
    socket.write('shutdown\n')
    await within('it to hang up', new Promise((resolve) => socket.once('close', resolve)), soon)
    expect(said).toBe('')
  })

  test('goes on when who asked is gone before the answer', async () => {
    let reply: (answer: string) => void = () => {}
    let asked = 0
    await using server = await serve((request) => {
      asked++
      return asked > 1 ? Promise.resolve(request) : new Promise((resolve) => (reply = resolve))
    })
    expect(server).toBeDefined()
    const socket = connect(socketPath(handle))
    socket.write('release\n')
    await until('the request', () => asked === 1, soon)
    socket.destroy()
    reply('removed')
    expect(await ask('renew')).toBe('renew')
  })

  test('can be far from the root: a path may be longer than a socket address', async () => {
    const far = path.join(directory, 'd'.repeat(100), 'e'.repeat(100))
    mkdirSync(far, {recursive: true})
    handle = path.join(far, 'handle')
    await using server = await serve()
    expect(server).toBeDefined()
    expect(await ask('renew')).toBe('asked to renew')
  })
})

describe('nobody answers', () => {
  test('if there is no socket, or no directory', async () => {
    expect(await ask('renew')).toBeUndefined()
    handle = path.join(directory, 'nowhere', 'handle')
    expect(await ask('renew')).toBeUndefined()
  })

  test('if the answer takes longer than the limit', async () => {
    let reply: (answer: string) => void = () => {}
    await using server = await serve(() => new Promise((resolve) => (reply = resolve)))
    expect(server).toBeDefined()
    expect(await ask('renew', 50)).toBeUndefined()
    reply('late')
  })
})
