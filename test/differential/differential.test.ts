import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {EtcdApi, type Message} from '../support/EtcdApi.ts'
import {EngineProcess} from '../support/EngineProcess.ts'
import {EtcdServer} from '../support/EtcdServer.ts'
import {describeFind, differenceIn, search} from './compare.ts'
import {corners} from './corners.ts'
import {faultyApi, type ServerFault} from './faultyApi.ts'

let servers: EtcdServer[]
let engine: EngineProcess
let local: EtcdApi
let model: EtcdApi
let twin: EtcdApi

beforeAll(async () => {
  engine = await EngineProcess.start()
  local = new EtcdApi(engine.target)
  servers = await Promise.all([EtcdServer.start(), EtcdServer.start()])
  const [one, other] = servers.map(({port}) => new EtcdApi(`127.0.0.1:${port}`))
  if (one === undefined || other === undefined) throw new Error('two servers, two connections')
  model = one
  twin = other
})

afterAll(async () => {
  for (const api of [model, twin, local]) api[Symbol.dispose]()
  await Promise.all([engine, ...servers].map((server) => server[Symbol.asyncDispose]()))
})

test('the local engine answers as etcd does', async () => {
  const {found} = await search([model, local], {sequences: 100})
  expect(found && describeFind(found)).toBeUndefined()
})

test.each(Object.entries(corners))('the local engine answers as etcd does to %s', async (_, sequence) => {
  expect(await differenceIn(sequence, [model, local])).toBeUndefined()
})

test('two servers of etcd answer alike', async () => {
  const {found} = await search([model, twin], {sequences: 60})
  expect(found && describeFind(found)).toBeUndefined()
})

const dropping =
  (rpc: string, field: string) =>
  (name: string, request: Message): Message =>
    name === rpc ? {...request, [field]: undefined} : request

interface Kv {
  readonly lease: string
}

/** Each with how many operations show it at least, which is what the search must come down to. */
const faults: readonly (readonly [what: string, fault: ServerFault, operations: number])[] = [
  ['does not sort', {request: dropping('KV.Range', 'sort_target')}, 3],
  ['forgets what a key is leased to', {request: dropping('KV.Put', 'lease')}, 1],
  ['takes a new revision for what deletes nothing', {answer: counting}, 1],
  ['cannot look back', {request: dropping('KV.Range', 'revision')}, 1],
  ['leaves out the last event of several', {told: (answer) => ({...answer, events: lastLess(answer)})}, 2],
]

function counting(name: string, answer: Message): Message {
  if (name !== 'KV.DeleteRange' || answer.deleted !== '0') return answer
  const header = answer.header as {revision: string}
  return {...answer, header: {...header, revision: String(BigInt(header.revision) + 1n)}}
}

function lastLess({events}: Message): unknown {
  const all = events as readonly {readonly kv: Kv}[]
  return all.length > 1 ? all.slice(0, -1) : all
}

describe('of a server that', () => {
  test.each(faults)('%s, it finds the smallest sequence that shows it', async (_, fault, operations) => {
    const {found} = await search([model, faultyApi(twin, fault)], {sequences: 500, seed: 1})
    expect(found?.sequence, found && describeFind(found)).toHaveLength(operations)
  })
})
