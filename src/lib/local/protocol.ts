import type {ServiceDefinition} from '@grpc/grpc-js'
import {loadSync} from '@grpc/proto-loader'
import {rpcProto} from './rpcProto.ts'

/** As etcd3 reads the same file. */
const definitions = loadSync(rpcProto, {
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
})

/** The definition of one of etcd's services: `KV`, `Lease`. */
export function serviceDefinition(name: string): ServiceDefinition {
  return definitions[`etcdserverpb.${name}`] as unknown as ServiceDefinition
}
