import {readFileSync} from 'node:fs'
import {hostname} from 'node:os'
import {LeashError} from '../core/errors.ts'
import type {LockRequest} from '../core/lock.ts'
import {electionKeys, rawLockKeys} from '../core/lockName.ts'
import {type WaitingFlags, requestFor} from './lockRequest.ts'
import type {Settings} from './settings.ts'

/** The flags that say what a candidate proposes. */
export interface ProposalFlags {
  value?: string | undefined
  'value-file'?: string | undefined
}

/** The flags of a candidate. */
export type CandidateFlags = WaitingFlags & ProposalFlags & {'raw-key': boolean}

/**
 * etcd takes requests of 1.5 MiB, and the one that puts a ticket has its value twice: for who finds nobody, and for who lines
 * up. A proposal is read by every observer, again and again.
 */
const largestBytes = 512 * 1024

/**
 * What to ask of core for a candidate, from its flags and settings.
 *
 * @throws LeashError `usage` for a name or a proposal that breaks the rules; as `lockRequest` for the timeline
 */
export function electionRequest(name: string, flags: CandidateFlags, settings: Settings): LockRequest {
  const keys = flags['raw-key'] ? rawLockKeys(name) : electionKeys(settings.connection.prefix.value, name)
  const proposal = readProposal(flags) ?? new TextEncoder().encode(hostname())
  return {...requestFor([keys], flags, settings), proposal}
}

/**
 * The bytes of a proposal, as given; undefined if there is none.
 *
 * @throws LeashError `usage` for a file that cannot be read, one that is too large, or text that is no UTF-8
 */
export function readProposal({value, 'value-file': file}: ProposalFlags): Uint8Array | undefined {
  if (file !== undefined) return sized(readValueFile(file), `the file ${JSON.stringify(file)}`)
  if (value === undefined) return undefined
  // Bytes that are no UTF-8 reach us as U+FFFD.
  if (value.includes('\ufffd'))
    throw new LeashError('usage', 'the value is not valid UTF-8', 'give any bytes with --value-file')
  return sized(new TextEncoder().encode(value), 'the value')
}

/**
 * The same where there must be one.
 *
 * @throws LeashError `usage`, also if there is none
 */
export function proposalOf(flags: ProposalFlags): Uint8Array {
  const proposal = readProposal(flags)
  if (proposal !== undefined) return proposal
  throw new LeashError('usage', 'there is no value to proclaim', 'give --value TEXT, or --value-file PATH')
}

function readValueFile(file: string): Uint8Array {
  try {
    return readFileSync(file)
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? String(cause)
    const message = `the file ${JSON.stringify(file)} with the value cannot be read: ${reason}`
    throw new LeashError('usage', message, 'give the path of a file that can', {cause})
  }
}

function sized(bytes: Uint8Array, what: string): Uint8Array {
  if (bytes.length <= largestBytes) return bytes
  const message = `${what} is ${bytes.length} bytes long, and ${largestBytes} is the most`
  throw new LeashError('usage', message, 'propose where the rest is to be found')
}
