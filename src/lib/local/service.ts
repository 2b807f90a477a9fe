import {
  type Server,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type UntypedServiceImplementation,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import {mostPastBytes, sizeOfEvents} from './history.ts'
import {serviceDefinition} from './protocol.ts'
import type {Store} from './store.ts'
import {Refusal, refusals} from './values.ts'
import * as wire from './wire.ts'
import type {Wire} from './wire.ts'

/** What the engine says it is: of the version whose API it serves, one cluster and one member. */
const version = '3.5.0'
const clusterId = 1
const memberId = 1

/**
 * What a client may leave unread on a watch before it loses it, and opens it again where it was: as much as the past may take, and
 * more than one answer ever is.
 */
const mostUnreadBytes = 2 * mostPastBytes

type Method = (request: Wire) => Promise<Wire & {readonly revision: number}>
type Stream = ServerDuplexStream<Wire, Wire>

/** What becomes of a stream's requests, and of their end: their client may still wait for answers. */
interface Requests {
  readonly onRequest: (request: Wire) => void
  readonly onEnd: () => void
}

/** How many calls are under way, and when the last one ended. */
export interface Calls {
  began(): void
  ended(): void
}

/** Serves a store on `server`, in the words of etcd. @returns what ends the streams that go on and on */
export function serveStore(server: Server, store: Store, calls: Calls): {endStreams: () => void} {
  const streams = new Set<Stream>()
  const header = (revision: number): Wire => ({
    cluster_id: clusterId,
    member_id: memberId,
    revision,
    raft_term: store.epoch,
  })

  const unary = (method: Method) => (call: ServerUnaryCall<Wire, Wire>, done: sendUnaryData<Wire>) => {
    calls.began()
    // In a promise, so that what is refused at once is refused in the same way.
    void Promise.resolve(call.request)
      .then(method)
      .then(
        ({revision, ...answer}) => done(null, {header: header(revision), ...answer}),
        (error: unknown) => done(asServiceError(error)),
      )
      .finally(() => calls.ended())
  }

  const duplex = (open: (stream: Stream) => Requests) => (stream: Stream) => {
    calls.began()
    const {onRequest, onEnd} = open(stream)
    stream.on('data', onRequest)
    stream.on('end', onEnd)
    // A client that goes away is no fault.
    stream.on('error', () => {})
    streams.add(stream)
    stream.once('close', () => {
      streams.delete(stream)
      calls.ended()
    })
  }

  const kv: UntypedServiceImplementation = {
    Range: unary(async (request) => {
      const answer = await store.range(wire.rangeRequest(request))
      return {revision: answer.revision, ...wire.rangeAnswer(answer)}
    }),
    Put: unary(async (request) => {
      const answer = await store.put(wire.putRequest(request))
      return {revision: answer.revision, ...wire.putAnswer(answer)}
    }),
    DeleteRange: unary(async (request) => {
      const answer = await store.delete(wire.deleteRequest(request))
      return {revision: answer.revision, ...wire.deleteAnswer(answer)}
    }),
    Txn: unary(async (request) => {
      const answer = await store.txn(wire.txnRequest(request))
      return {revision: answer.revision, ...wire.txnAnswer(answer)}
    }),
    Compact: unary(({revision}) => store.compact(Number(revision))),
  }

  const lease: UntypedServiceImplementation = {
    LeaseGrant: unary(async (request) => {
      const {revision, id, ttlSeconds} = await store.grant(wire.leaseIdOf(request), Number(request['TTL']))
      return {revision, ID: id.toString(), TTL: ttlSeconds}
    }),
    LeaseRevoke: unary((request) => store.revoke(wire.leaseIdOf(request))),
    LeaseTimeToLive: unary(async (request) => {
      const id = wire.leaseIdOf(request)
      const {revision, remaining} = await store.timeToLive(id)
      if (remaining === undefined) return {revision, ID: id.toString(), TTL: -1}
      const {leftSeconds, ttlSeconds, keys} = remaining
      const answer = {revision, ID: id.toString(), TTL: leftSeconds, grantedTTL: ttlSeconds}
      return {...answer, keys: request['keys'] === true ? keys : []}
    }),
    LeaseLeases: unary(async () => {
      const {revision, leases} = await store.leases()
      return {revision, leases: leases.map(({id}) => ({ID: id.toString()}))}
    }),
    LeaseKeepAlive: duplex((stream) => {
      // One after another: the answers are in the order of the requests.
      let answered: Promise<unknown> = Promise.resolve()
      const onRequest = (request: Wire): void => {
        const id = wire.leaseIdOf(request)
        answered = Promise.all([store.keepAlive(id), answered])
          .then(([{revision, ttlSeconds}]) => {
            stream.write({header: header(revision), ID: id.toString(), TTL: ttlSeconds})
          })
          .catch((error: unknown) => void stream.emit('error', asServiceError(error)))
      }
      return {onRequest, onEnd: () => void answered.then(() => stream.end())}
    }),
  }

  const watch: UntypedServiceImplementation = {
    Watch: duplex((stream) => {
      let unreadBytes = 0
      const watches = store.watch((answer) => {
        const bytes = sizeOfEvents(answer.events)
        if (unreadBytes + bytes > mostUnreadBytes) {
          watches.close()
          return stream.emit('error', asServiceError(refusals.tooSlow()))
        }
        unreadBytes += bytes
        const message = {header: header(answer.revision), ...wire.watchAnswer(answer)}
        return stream.write(message, () => (unreadBytes -= bytes))
      })
      stream.once('close', () => watches.close())
      const onRequest = (request: Wire): void => {
        // What is told of the past, or of nothing, has no write before it, which looks.
        store.check()
        const asked = request[request['request_union'] as string] as Wire
        if (request['request_union'] === 'create_request') watches.create(wire.watchCreateRequest(asked))
        else if (request['request_union'] === 'cancel_request') watches.cancel(Number(asked['watch_id']))
        else if (request['request_union'] === 'progress_request') watches.progress()
      }
      // A watch goes on, as etcd's.
      return {onRequest, onEnd: () => {}}
    }),
  }

  const maintenance: UntypedServiceImplementation = {
    Status: unary(async () => {
      const {revision} = await store.status()
      const raft = {raftTerm: store.epoch, raftIndex: revision, raftAppliedIndex: revision}
      return {revision, version, leader: memberId, ...raft}
    }),
  }

  server.addService(serviceDefinition('KV'), kv)
  server.addService(serviceDefinition('Lease'), lease)
  server.addService(serviceDefinition('Watch'), watch)
  server.addService(serviceDefinition('Maintenance'), maintenance)
  return {
    endStreams: () => {
      for (const stream of streams) stream.emit('error', asServiceError(refusals.stopped()))
    },
  }
}

function asServiceError(error: unknown): Error & {code: number; details: string} {
  const fault = error instanceof Error ? error : new Error(String(error))
  const code = error instanceof Refusal ? error.code : status.INTERNAL
  return Object.assign(fault, {code, details: fault.message})
}
