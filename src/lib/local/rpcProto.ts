import {createRequire} from 'node:module'
import path from 'node:path'

const require = createRequire(import.meta.url)

/** The file with etcd's services that etcd3 brings. The bundle has codecs made of it, and no such file. */
export const rpcProto = path.join(path.dirname(require.resolve('etcd3/package.json')), 'proto/rpc.proto')
