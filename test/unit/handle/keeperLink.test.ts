import {once} from 'node:events'
import {type Socket, createServer, connect} from 'node:net'
import {rmSync} from 'node:fs'
import path from 'node:path'
import {expect, test} from 'vitest'
import {LeashError} from '../../../src/lib/core/errors.ts'
import {encodeHandle} from '../../../src/lib/handle/handle.ts'
import {type KeepPlan, KeeperLink} from '../../../src/lib/handle/keeperProcess.ts'
import {scratchDirectory} from '../../support/scratch.ts'
import {within} from '../../support/wait.ts'
import {plainHandle} from './someHandle.ts'

const soon = {withinMs: 10_000}
const plan: KeepPlan = {
  kept: {pid: 13, startTicks: 3},
  stopSignal: 'SIGTERM',
  limitMs: 1000,
  environment: {LEASH_ENDPOINTS: 'http://127.0.0.1:2379'},
  queuePrefix: 'leash/lock/nightly/',
}
const line = (value: object): string => `${JSON.stringify(value)}\n`

/** A keeper's end of the link, and the command's, which a test writes to by hand. */
class Link implements AsyncDisposable {
  readonly keeper: KeeperLink
  readonly command: Socket
  readonly #sockets: readonly Socket[]

  private constructor(command: Socket, keeper: Socket) {
    this.command = command
    this.keeper = new KeeperLink(keeper)
    this.#sockets = [command, keeper]
  }

  static async open(): Promise<Link> {
    const directory = scratchDirectory('link')
    const address = path.join(directory, 'socket')
    const server = createServer().listen(address)
    const accepted = once(server, 'connection') as Promise<[Socket]>
    const command = connect(address)
    const [keeper] = await accepted
    server.close()
    rmSync(directory, {recursive: true, force: true})
    return new Link(command, keeper)
  }

  /** The command has said all that a keeper needs. */
  async order(): Promise<void> {
    this.command.write(line(plan) + line({handle: encodeHandle(plainHandle), directory: '/handles'}))
    expect(await within('the plan', this.keeper.plan(), soon)).toEqual(plan)
    expect(await within('the order', this.keeper.order(), soon)).toEqual({
      handle: plainHandle,
      directory: '/handles',
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    return Promise.resolve()
  }
}

test('a keeper goes on when it is told so, whatever becomes of the command then', async () => {
  await using link = await Link.open()
  await link.order()
  const wanted = link.keeper.keeping('/handles/1')
  link.command.end('go\n')
  expect(await within('the word', wanted, soon)).toBe(true)
  expect(link.keeper.abandoned.aborted).toBe(false)
})

test('a keeper whose command dies before it has said so does not go on, and does not wait for ever', async () => {
  await using link = await Link.open()
  await link.order()
  const wanted = link.keeper.keeping('/handles/1')
  link.command.destroy()
  expect(await within('the end', wanted, soon)).toBe(false)
  expect(link.keeper.abandoned.aborted).toBe(true)
})

test.each(['', 'g', 'go'])('nor does one whose command dies in the middle of that: %j', async (part) => {
  await using link = await Link.open()
  await link.order()
  const wanted = link.keeper.keeping('/handles/1')
  link.command.end(part)
  expect(await within('the end', wanted, soon)).toBe(false)
})

test('a keeper is wanted no more when its command dies while it takes over', async () => {
  await using link = await Link.open()
  await link.order()
  const {abandoned} = link.keeper
  const told = within('it to be told', once(abandoned, 'abort'), soon)
  link.command.destroy()
  await told
})

test('a keeper has nothing to keep when its command ends before it has ordered anything', async () => {
  await using link = await Link.open()
  link.command.end()
  expect(await within('the end', link.keeper.plan(), soon)).toBeUndefined()
  await using other = await Link.open()
  other.command.end(line(plan))
  expect(await within('the plan', other.keeper.plan(), soon)).toEqual(plan)
  expect(await within('the end', other.keeper.order(), soon)).toBeUndefined()
})

test('a command hears why it cannot be kept', async () => {
  await using link = await Link.open()
  await link.order()
  link.keeper.failed(new LeashError('unavailable', 'etcd is gone', 'bring it back'))
  const [answer] = (await within('the answer', once(link.command, 'data'), soon)) as [Buffer]
  expect(answer.toString()).toBe(
    'failed {"code":"unavailable","message":"etcd is gone","wayOut":"bring it back"}\n',
  )
})
