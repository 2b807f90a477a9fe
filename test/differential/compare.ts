import {isDeepStrictEqual} from 'node:util'
import {randomBytes} from 'node:crypto'
import * as fc from 'fast-check'
import type {EtcdApi} from '../support/EtcdApi.ts'
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

/** Plays a sequence against both. Anything but an answer, a timeout for one, is what a target says, too. */
const differenceIn = async (
  sequence: readonly Operation[],
  targets: readonly [model: EtcdApi, other: EtcdApi],
): Promise<Difference | undefined> => {
  played++
  const setting = {
    prefix: `differential/${String(played).padStart(8, '0')}`,
    leaseBase: BigInt(`0x1${randomBytes(7).toString('hex')}`) & ~0xffn,
  }
  const [model, other] = await Promise.all(
    targets.map((api) =>
      play(api, sequence, setting).catch((error: Error): Line[] => [
        {subject: 'the whole sequence', said: error.message},
      ]),
    ),
  )
  return firstDifference(model ?? [], other ?? [])
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
  targets: readonly [model: EtcdApi, other: EtcdApi],
  plan: {readonly sequences: number; readonly seed?: number; readonly onSequence?: (count: number) => void},
): Promise<Search> => {
  const seed = plan.seed ?? randomBytes(4).readInt32LE()
  let [count, operations, isShrinking] = [0, 0, false]
  const last: {difference?: Difference} = {}
  const property = fc.asyncProperty(sequences, async (sequence) => {
    const difference = await differenceIn(sequence, targets)
    if (difference !== undefined) {
      isShrinking = true
      last.difference = difference
      return false
    }
    if (!isShrinking) {
      count++
      operations += sequence.length
      plan.onSequence?.(count)
    }
    return true
  })
  const details = await fc.check(property, {numRuns: plan.sequences, seed})
  const [sequence] = details.counterexample ?? []
  if (!details.failed || sequence === undefined || last.difference === undefined)
    return {sequences: count, operations, seed}
  return {sequences: count, operations, seed, found: {sequence, difference: last.difference}}
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
