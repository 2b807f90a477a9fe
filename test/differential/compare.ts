import {isDeepStrictEqual} from 'node:util'
import {randomBytes} from 'node:crypto'
import * as fc from 'fast-check'
import type {Api} from '../support/EtcdApi.ts'
import {sequences, type Operation} from './operations.ts'
import {play, type Line} from './play.ts'

/** The first place where two targets part. */
export interface Difference {
  readonly subject: string
  /** What each said; the model is etcd. */
  readonly model: unknown
  readonly other: unknown
}

let played = 0

/**
 * Plays a sequence against both. What keeps the other from its end, an answer that does not come for one, is a difference; what
 * keeps the model from it makes the search worthless, and is thrown.
 */
export const differenceIn = async (
  sequence: readonly Operation[],
  [model, other]: readonly [model: Api, other: Api],
): Promise<Difference | undefined> => {
  played++
  const setting = {
    prefix: `differential/${String(played).padStart(8, '0')}`,
    leaseBase: BigInt(`0x1${randomBytes(7).toString('hex')}`) & ~0xffn,
  }
  const broken = (error: Error): Line[] => [{subject: 'the whole sequence', said: error.message}]
  const [one, two] = await Promise.allSettled([
    play(model, sequence, setting),
    play(other, sequence, setting).catch(broken),
  ])
  if (one.status === 'rejected')
    throw new Error(`etcd did not play ${JSON.stringify(sequence)}`, {cause: one.reason})
  return firstDifference(one.value, two.status === 'fulfilled' ? two.value : [])
}

const firstDifference = (model: readonly Line[], other: readonly Line[]): Difference | undefined => {
  for (let index = 0; index < Math.max(model.length, other.length); index++) {
    const [one, two] = [model[index], other[index]]
    if (!isDeepStrictEqual(one, two))
      return {subject: one?.subject ?? two?.subject ?? '', model: one?.said, other: two?.said}
  }
  return undefined
}

export interface Search {
  /** How many sequences were played to the end, without those of the shrinking. */
  readonly sequences: number
  readonly operations: number
  /** The smallest sequence that was found to be answered differently, and where. */
  readonly found?: {readonly sequence: readonly Operation[]; readonly difference: Difference}
  /** The same seed makes the same sequences. */
  readonly seed: number
}

/** Plays random sequences against two targets until they differ, then makes the sequence as small as it can. */
export const search = async (
  targets: readonly [model: Api, other: Api],
  plan: {readonly sequences: number; readonly seed?: number; readonly onSequence?: (count: number) => void},
): Promise<Search> => {
  const seed = plan.seed ?? randomBytes(4).readInt32LE()
  let [count, operations] = [0, 0]
  const seen: {isFound?: true; fault?: unknown} = {}
  const property = fc.asyncProperty(sequences, async (sequence) => {
    // Nothing can be learnt any more: let it come to its end.
    if ('fault' in seen) return
    let difference: Difference | undefined
    try {
      difference = await differenceIn(sequence, targets)
    } catch (fault) {
      seen.fault = fault
    }
    if (difference !== undefined) {
      seen.isFound = true
      throw new Error('they differ')
    }
    if (seen.isFound) return
    count++
    operations += sequence.length
    plan.onSequence?.(count)
  })
  const {counterexample} = await fc.check(property, {numRuns: plan.sequences, seed})
  if ('fault' in seen) throw seen.fault
  const [sequence] = counterexample ?? []
  if (sequence === undefined) return {sequences: count, operations, seed}
  const found = await withoutNeedless(sequence, (shorter) => differenceIn(shorter, targets))
  return {sequences: count, operations, seed, found}
}

/** Leaves out each operation without which they still differ: fast-check keeps the last, whatever it is. */
const withoutNeedless = async (
  sequence: readonly Operation[],
  differ: (sequence: readonly Operation[]) => Promise<Difference | undefined>,
): Promise<NonNullable<Search['found']>> => {
  let rest = sequence
  for (let index = sequence.length - 1; index >= 0; index--) {
    const shorter = rest.toSpliced(index, 1)
    if (await differ(shorter)) rest = shorter
  }
  const difference = await differ(rest)
  return {sequence: rest, difference: difference ?? {subject: 'nothing any more', model: '', other: ''}}
}

/** A find as one reads it. */
export const describeFind = ({sequence, difference}: NonNullable<Search['found']>): string =>
  [
    'the smallest sequence that is answered differently:',
    ...sequence.map((operation) => `  ${JSON.stringify(operation)}`),
    `differs at ${difference.subject}`,
    `  etcd:  ${JSON.stringify(difference.model)}`,
    `  other: ${JSON.stringify(difference.other)}`,
  ].join('\n')
