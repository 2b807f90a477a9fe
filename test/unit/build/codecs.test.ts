import {mkdtempSync, mkdirSync, rmSync} from 'node:fs'
import {createRequire} from 'node:module'
import path from 'node:path'
import {
  loadSync,
  type MethodDefinition,
  type PackageDefinition,
  type ServiceDefinition,
} from '@grpc/proto-loader'
import {build} from 'esbuild'
import * as fc from 'fast-check'
import protobuf from 'protobufjs'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {constants} from '../../../scripts/build/bundle.ts'
import {clientRpcs, engineRpcs, generateCodecs} from '../../../scripts/build/codecs.ts'
import {rpcProto} from '../../../src/lib/local/rpcProto.ts'

/** As etcd3 1.1 calls the loader, in lib/connection-pool.js. */
const options = {keepCase: true, longs: String, enums: String, defaults: true, oneofs: true}

type Json = Record<string, unknown>
type Method = MethodDefinition<object, object>

const root = path.resolve(import.meta.dirname, '../../..')
const real = loadSync(rpcProto, options)
const schema = new protobuf.Root().loadSync(rpcProto, {keepCase: true}).resolveAll()
const sets = {client: clientRpcs, engine: engineRpcs}
type SetName = keyof typeof sets
const generated = {} as Record<SetName, PackageDefinition>
let directory: string

beforeAll(async () => {
  // Below the repository, so that the generated code finds protobufjs; bundled as the command is.
  mkdirSync(path.join(root, '.cache'), {recursive: true})
  directory = mkdtempSync(path.join(root, '.cache/codecs-'))
  for (const set of Object.keys(sets) as SetName[]) generated[set] = await codecsOf(set)
})

async function codecsOf(set: SetName): Promise<PackageDefinition> {
  const outfile = path.join(directory, `${set}.cjs`)
  const standIn = await generateCodecs(path.join(directory, set), sets[set])
  await build({
    entryPoints: [standIn],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    define: constants,
  })
  const standInModule = createRequire(import.meta.url)(outfile) as {loadSync: typeof loadSync}
  return standInModule.loadSync(rpcProto, options)
}

afterAll(() => rmSync(directory, {recursive: true}))

const methodOf = (definitions: PackageDefinition, service: string, name: string): Method => {
  const method = (definitions[`etcdserverpb.${service}`] as ServiceDefinition)[name]
  if (!method) throw new Error(`no ${service}.${name}`)
  return method
}

/** Both encode `message` to the same bytes, and decode these to the same object, field by field. */
const expectSame = (
  message: object,
  direction: 'request' | 'response',
  service: string,
  name: string,
  set: SetName = 'client',
): void => {
  const [ours, theirs] = [methodOf(generated[set], service, name), methodOf(real, service, name)]
  const [serialize, deserialize] = [`${direction}Serialize`, `${direction}Deserialize`] as const
  const bytes = theirs[serialize](message)
  expect(ours[serialize](message).toString('hex')).toBe(bytes.toString('hex'))
  expect(ours[deserialize](bytes)).toStrictEqual(theirs[deserialize](bytes))
}

const rpcs = (Object.keys(sets) as SetName[]).flatMap((set) =>
  Object.entries(sets[set]).flatMap(([service, names]) => names.map((name) => ({set, service, name}))),
)

describe.each(rpcs)('generated codecs of the $set for $service.$name', ({set, service, name}) => {
  test('have the path, the name and the streams of the real loader', () => {
    const facts = ({path, originalName, requestStream, responseStream}: Method): Json => ({
      ...{path, originalName, requestStream, responseStream},
    })
    expect(facts(methodOf(generated[set], service, name))).toEqual(facts(methodOf(real, service, name)))
  })

  test.each(['request', 'response'] as const)(
    'encode and decode any %s as the real loader does',
    (direction) => {
      const {type} = methodOf(real, service, name)[`${direction}Type`] as {type: {name: string}}
      const message = messages(schema.lookupType(`etcdserverpb.${type.name}`), 3)
      fc.assert(fc.property(message, (value) => expectSame(value, direction, service, name, set)))
    },
  )
})

test('a transaction with all that leash puts into one looks the same to etcd', () => {
  const key = Buffer.from('leash/lock/nightly/1f')
  const range = {key: Buffer.from('leash/lock/a/'), range_end: Buffer.from('leash/lock/a0')}
  expectSame(
    {
      compare: [
        {key, result: 'Equal', target: 'Create', create_revision: 0},
        {...range, result: 'Equal', target: 'Create', create_revision: '0'},
        {key, result: 'Greater', target: 'Lease', lease: '9223372036854775807'},
      ],
      success: [
        {request_put: {key, value: Buffer.from([0, 255, 128]), lease: '9223372036854775807', prev_kv: true}},
        {
          request_range: {
            ...range,
            limit: 1,
            sort_order: 'Ascend',
            sort_target: 'Create',
            max_create_revision: 7,
          },
        },
        {request_delete_range: range},
        {
          request_txn: {
            compare: [{key, result: 'NotEqual', version: 1}],
            success: [{request_txn: {}}],
            failure: [],
          },
        },
      ],
      failure: [{request_range: {key}}],
    },
    'request',
    'KV',
    'Txn',
  )
})

test('64-bit numbers keep every digit, as text', () => {
  const header = {
    cluster_id: '18446744073709551615',
    member_id: '9007199254740993',
    revision: '9223372036854775807',
  }
  const {responseSerialize, responseDeserialize} = methodOf(generated.client, 'Lease', 'LeaseGrant')
  const answer = responseDeserialize(responseSerialize({header, ID: '-9223372036854775808', TTL: 30}))
  expect(answer).toMatchObject({header, ID: '-9223372036854775808', TTL: '30'})
})

test('an array in the place of a message is refused', () => {
  expect(() => methodOf(generated.client, 'KV', 'Range').requestSerialize([])).toThrow('array')
})

/** Any value of a message, with some fields absent, nested up to `depth` messages deep. */
function messages({fieldsArray}: protobuf.Type, depth: number): fc.Arbitrary<object> {
  const fields = fieldsArray.map((field) => {
    const value = values(field.resolve(), depth)
    return [field.name, field.repeated ? fc.array(value, {maxLength: 2}) : value]
  })
  return fc.record(Object.fromEntries(fields) as Record<string, fc.Arbitrary<unknown>>, {requiredKeys: []})
}

function values({type, resolvedType}: protobuf.Field, depth: number): fc.Arbitrary<unknown> {
  if (resolvedType instanceof protobuf.Enum)
    return fc.constantFrom(...Object.entries(resolvedType.values).flat())
  if (resolvedType) return depth === 0 ? fc.constant(null) : messages(resolvedType, depth - 1)
  switch (type) {
    case 'bytes':
      return fc.uint8Array({maxLength: 9}).map((bytes) => Buffer.from(bytes))
    case 'string':
      return fc.string({unit: 'binary', maxLength: 9})
    case 'bool':
      return fc.boolean()
    case 'int64':
      return fc.oneof(fc.integer(), fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map(String))
    case 'uint64':
      return fc.oneof(fc.nat(), fc.bigInt(0n, 2n ** 64n - 1n).map(String))
    case 'uint32':
      return fc.nat()
    default:
      throw new Error(`this test makes no values of type ${type}`)
  }
}
