import {createRequire} from 'node:module'
import path from 'node:path'
import type {ServiceDefinition} from '@grpc/grpc-js'
import {loadSync} from '@grpc/proto-loader'

const require = createRequire(import.meta.url)

/** As etcd3 reads the same file. */
const definitions = loadSync(
  path.join(path.dirname(require.resolve('etcd3/package.json')), 'proto/rpc.proto'),
  {keepCase: true, longs: String, enums: String, defaults: true, oneofs: true},
)

/** The definition of one of etcd's services: `KV`, `Lease`. */
export function serviceDefinition(name: string): ServiceDefinition {
  return definitions[`etcdserverpb.${name}`] as unknown as ServiceDefinition
}
