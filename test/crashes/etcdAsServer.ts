import {EtcdApi} from '../support/EtcdApi.ts'
import type {EtcdServer} from '../support/EtcdServer.ts'
import type {Server} from './crashes.ts'

/** etcd itself, and what a test does to it before it answers again. */
export const etcdAsServer = (
  etcd: EtcdServer,
  beforeReady: (api: EtcdApi) => Promise<void> = () => Promise.resolve(),
): Server => {
  const target = `127.0.0.1:${etcd.port}`
  return {
    target,
    launch: () => etcd.relaunch(),
    kill: () => etcd.kill(),
    ready: async () => {
      await etcd.ready()
      using api = new EtcdApi(target)
      await beforeReady(api)
    },
  }
}
