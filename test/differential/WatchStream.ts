import type {ClientDuplexStream} from '@grpc/grpc-js'
import {RpcError, type Api, type Message} from '../support/EtcdApi.ts'
import {until} from '../support/wait.ts'

/** All that one watch was told, in order. */
export interface Watch {
  readonly id: string
  /** The revision it began with, or 0 for the one after its creation. */
  readonly startRevision: bigint
  /** Its events, and last, if it was cancelled, what was said then. */
  readonly told: Message[]
  isOpen: boolean
}

interface Answer extends Message {
  readonly watch_id: string
  readonly created: boolean
  readonly canceled: boolean
  readonly header: {readonly revision: string}
  readonly events: readonly (Message & {readonly kv: {readonly mod_revision: string}})[]
}

const answerMs = 15_000

/** One stream of the Watch service with its watches. */
export class WatchStream implements Disposable {
  readonly watches: Watch[] = []
  readonly #stream: ClientDuplexStream<Message, Message>
  readonly #asked: Message[] = []
  readonly #created: Answer[] = []
  #provenRevision = -1n
  #end: string | undefined

  constructor(api: Api) {
    this.#stream = api.stream('Watch.Watch')
    this.#stream.on('data', (answer: Answer) => this.#onAnswer(answer))
    this.#stream.on('error', (error: RpcError) => (this.#end ??= new RpcError(error as never).message))
    this.#stream.on('end', () => (this.#end ??= 'the stream ended'))
  }

  get open(): Watch[] {
    return this.watches.filter(({isOpen}) => isOpen)
  }

  /** The answer to a create_request, which may be a refusal. */
  create(request: Message): Promise<Message> {
    this.#asked.push(request)
    this.#stream.write({create_request: request})
    return this.#wait('a watch to be created', () => this.#created.shift())
  }

  async cancel(watch: Watch): Promise<void> {
    this.#stream.write({cancel_request: {watch_id: watch.id}})
    await this.#wait('a watch to be cancelled', () => !watch.isOpen)
  }

  /**
   * Resolves when each open watch, one at least, was told all up to that revision, which is newer than all proven before, and at or
   * after the start of each watch. A server answers to
   * a progress request only when that is so; etcd does not answer if it is not, so it is asked again.
   */
  async toldUpTo(revision: bigint): Promise<void> {
    await this.#wait(`the watches to be told all up to revision ${revision}`, () => {
      if (this.#provenRevision >= revision) return true
      this.#stream.write({progress_request: {}})
      return false
    })
  }

  #wait<T>(what: string, probe: () => T | undefined | false): Promise<T> {
    const orEnd = (): T | undefined | false => {
      const found = probe()
      if ((found === undefined || found === false) && this.#end !== undefined) throw new Error(this.#end)
      return found
    }
    return until(what, orEnd, {withinMs: answerMs, everyMs: 2})
  }

  #onAnswer(answer: Answer): void {
    if (answer.created) {
      this.#onCreated(answer)
      return
    }
    const revision = BigInt(answer.header.revision)
    if (answer.watch_id === '-1') {
      if (revision > this.#provenRevision) this.#provenRevision = revision
      return
    }
    const watch = this.open.find(({id}) => id === answer.watch_id)
    if (watch === undefined) {
      this.#end = `an answer to watch ${answer.watch_id}, which is not open`
      return
    }
    // What comes in one answer depends on when it is sent, but not that a revision is told as a whole.
    const last = watch.told.at(-1) as Answer['events'][number] | undefined
    if (last !== undefined && last.kv.mod_revision === answer.events[0]?.kv.mod_revision)
      watch.told.push({torn_at_revision: last.kv.mod_revision})
    watch.told.push(...answer.events)
    if (answer.canceled) {
      watch.isOpen = false
      watch.told.push(answer)
    }
  }

  /** At once: events may be right behind. */
  #onCreated(answer: Answer): void {
    this.#created.push(answer)
    const startRevision = BigInt((this.#asked.shift()?.start_revision as string | undefined) ?? 0)
    if (!answer.canceled) this.watches.push({id: answer.watch_id, startRevision, told: [], isOpen: true})
  }

  [Symbol.dispose](): void {
    // Its own cancellation comes back as an error.
    this.#stream.on('error', () => undefined)
    this.#stream.cancel()
  }
}
