/** etcd's own lock and election services, which run Go's Mutex and Election inside the server, through its JSON gateway. */
import {answers, call, decode, encode, leaseDecimal} from './etcdGateway.ts'

/** They answer when the lock or the leadership is there. */
const turnMs = 60_000

/** A leadership, as the service gave it and wants it back: its bytes in base64. */
export interface LeaderKey {
  readonly name: string
  readonly key: string
  readonly rev: string
  readonly lease: string
}

/** Resolves with the ticket's key, in base64, when the lock is there. The lease is hex, and whoever granted it keeps it alive. */
export const lock = async (url: string, name: string, lease: string): Promise<string> => {
  const body = {name: encode(name), lease: leaseDecimal(lease)}
  return (await call<{key: string}>(url, '/v3/lock/lock', body, turnMs)).key
}

export const unlock = async (url: string, key: string): Promise<void> => {
  await call(url, '/v3/lock/unlock', {key})
}

/** Resolves when the leadership is there. The lease is hex, and whoever granted it keeps it alive. */
export const campaign = async (
  url: string,
  name: string,
  lease: string,
  value: string,
): Promise<LeaderKey> => {
  const body = {name: encode(name), lease: leaseDecimal(lease), value: encode(value)}
  return (await call<{leader: LeaderKey}>(url, '/v3/election/campaign', body, turnMs)).leader
}

export const proclaim = async (url: string, leader: LeaderKey, value: string): Promise<void> => {
  await call(url, '/v3/election/proclaim', {leader, value: encode(value)})
}

export const resign = async (url: string, leader: LeaderKey): Promise<void> => {
  await call(url, '/v3/election/resign', {leader})
}

/** Who leads, and with which value. */
export interface Leader {
  readonly key: string
  readonly value: string
}

interface LeaderAnswer {
  kv?: {key?: string; value?: string}
}

const toLeader = ({kv}: LeaderAnswer): Leader => ({key: decode(kv?.key), value: decode(kv?.value)})

/** Throws when there is none. */
export const leaderOf = async (url: string, name: string): Promise<Leader> =>
  toLeader(await call<LeaderAnswer>(url, '/v3/election/leader', {name: encode(name)}))

/** Tells each leader and each value of it, until `signal` aborts or etcd goes away; resolves in each case. */
export const observe = async (
  url: string,
  name: string,
  onLeader: (leader: Leader) => void,
  signal: AbortSignal,
): Promise<void> => {
  try {
    const body = {name: encode(name)}
    for await (const {result} of answers<{result: LeaderAnswer}>(url, '/v3/election/observe', body, signal))
      onLeader(toLeader(result))
  } catch {
    // Cut off, or told to stop: both are an end of it.
  }
}
