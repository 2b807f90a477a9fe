import type {ILeaseGrantResponse, ILeaseKeepAliveResponse, IRangeResponse} from 'etcd3'
import {rmSync} from 'node:fs'
import path from 'node:path'
import {onTestFinished} from 'vitest'
import {Member} from '../../src/lib/etcd/member.ts'
import {type Engine, type EngineInput, startEngine} from '../../src/lib/local/engine.ts'
import {systemClock} from '../../src/lib/systemClock.ts'
import {scratchDirectory} from '../support/scratch.ts'

const {signal} = new AbortController()

/** Removed at the end of the test. */
export const newDirectory = (): string => {
  const directory = scratchDirectory('engine')
  onTestFinished(() => rmSync(directory, {recursive: true, force: true}))
  return directory
}

/** A client of whatever listens there. */
export const clientOf = (socketPath: string): Member => {
  const member = new Member(`unix:${socketPath}`)
  onTestFinished(() => member.close())
  return member
}

/** Ends it at the end of the test. */
export const stopping = (engine: Engine): Engine => {
  onTestFinished(() => engine.stop())
  return engine
}

/** An engine on the store in this directory. */
export const start = async (directory: string, input: Partial<EngineInput> = {}): Promise<Engine> => {
  const socketPath = path.join(directory, 'socket')
  return stopping(await startEngine({directory, socketPath, clock: systemClock(), ...input}))
}

export const put = (member: Member, key: string, lease = '0'): Promise<IRangeResponse> =>
  member.unary('KV', 'put', {key: Buffer.from(key), value: Buffer.from('value'), lease}, signal)

export const read = (member: Member, key: string): Promise<IRangeResponse> =>
  member.unary('KV', 'range', {key: Buffer.from(key)}, signal)

export const grant = (member: Member, ID: string, TTL: number): Promise<ILeaseGrantResponse> =>
  member.unary('Lease', 'leaseGrant', {ID, TTL}, signal)

/** The TTL that a keep-alive answers. */
export const keepAlive = async (member: Member, ID: string): Promise<number> => {
  let ttlSeconds = -1
  const onAnswer = (answer: ILeaseKeepAliveResponse): boolean => {
    ttlSeconds = Number(answer.TTL)
    return true
  }
  await member.stream('Lease', 'leaseKeepAlive', {ID}, onAnswer, signal)
  return ttlSeconds
}
