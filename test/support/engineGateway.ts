/**
 * What etcd's JSON gateway does, for the local engine, which has none: the same paths and the same JSON over gRPC, but for
 * fields that a gateway leaves out, which are there with their defaults.
 */
import {EtcdApi, type Message} from './EtcdApi.ts'

const methods: Readonly<Record<string, string>> = {
  '/v3/kv/range': 'KV.Range',
  '/v3/kv/put': 'KV.Put',
  '/v3/kv/deleterange': 'KV.DeleteRange',
  '/v3/kv/compaction': 'KV.Compact',
  '/v3/lease/leases': 'Lease.LeaseLeases',
  '/v3/lease/revoke': 'Lease.LeaseRevoke',
  '/v3/maintenance/status': 'Maintenance.Status',
  '/v3/watch': 'Watch.Watch',
}

const methodAt = (path: string): string => {
  const method = methods[path]
  if (method === undefined) throw new Error(`the local engine is not asked for ${path} by tests`)
  return method
}

/** Whether it is the local engine that is there. */
export const isEngine = (url: string): boolean => url.startsWith('unix:')

/** etcd says ASCEND, DELETE; the `rpc.proto` that we have says Ascend, Delete. */
const isEnum = (name: string): boolean => ['sort_order', 'sort_target', 'type'].includes(name)

const fromJson = (body: unknown): Message =>
  Object.fromEntries(
    Object.entries(body as Message).map(([name, field]) => [
      name,
      isEnum(name) ? String(field).replace(/\B\w+/, (rest) => rest.toLowerCase()) : field,
    ]),
  )

const toJson = (value: unknown): unknown => {
  if (Buffer.isBuffer(value)) return value.toString('base64')
  if (Array.isArray(value)) return value.map(toJson)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      isEnum(name) ? String(field).toUpperCase() : toJson(field),
    ]),
  )
}

/** One call. Throws when the engine does not answer within `withinMs`, or answers with an error. */
export const callEngine = async (
  url: string,
  path: string,
  body: unknown,
  withinMs: number,
): Promise<unknown> => {
  using api = new EtcdApi(url)
  return toJson(await api.call(methodAt(path), fromJson(body), withinMs))
}

/** What one call answers that goes on and on. Ends when the engine goes away, or throws, as it does when `signal` aborts. */
export async function* engineAnswers(
  url: string,
  path: string,
  body: unknown,
  signal: AbortSignal,
): AsyncGenerator<unknown> {
  using api = new EtcdApi(url)
  const stream = api.stream(methodAt(path))
  const cancel = (): void => stream.cancel()
  signal.addEventListener('abort', cancel)
  try {
    signal.throwIfAborted()
    stream.write(fromJson(body))
    for await (const answer of stream) yield {result: toJson(answer)}
  } finally {
    signal.removeEventListener('abort', cancel)
    // Its own cancellation comes back as an error.
    stream.on('error', () => undefined)
    cancel()
  }
}
