import {Transform, type TransformCallback} from 'node:stream'
import type {Api, Message} from '../support/EtcdApi.ts'

/** One thing that a server does wrong: what it makes of a request, of an answer, or of what a watch is told. */
export interface ServerFault {
  readonly request?: (name: string, request: Message) => Message
  readonly answer?: (name: string, answer: Message) => Message
  readonly told?: (answer: Message) => Message
}

/** A server with a fault: the given one, but for that. */
export const faultyApi = (api: Api, {request, answer, told}: ServerFault): Api => ({
  call: async (name, sent) => {
    const received = await api.call(name, request?.(name, sent) ?? sent)
    return answer?.(name, received) ?? received
  },
  stream: (name) => {
    const stream = api.stream(name)
    if (name !== 'Watch.Watch' || told === undefined) return stream
    const changed = new Transform({
      objectMode: true,
      transform: (message: Message, _, done: TransformCallback) => done(null, told(message)),
    })
    stream.on('error', (error) => changed.destroy(error))
    stream.pipe(changed)
    return Object.assign(Object.create(stream) as typeof stream, {
      on: (...args: Parameters<typeof stream.on>) => changed.on(...args),
      write: stream.write.bind(stream),
      cancel: stream.cancel.bind(stream),
    })
  },
})
