import type {TicketAhead} from './ticket.ts'

/**
 * Beside whom a ticket holds: beside nobody, beside others that are shared, or as one of so many slots. A ticket that says
 * nothing of it is exclusive, and so is that of another program, and a candidate's in an election.
 */
export type Mode = {kind: 'exclusive'} | {kind: 'shared'} | {kind: 'slots'; slots: number}

export const exclusive: Mode = {kind: 'exclusive'}

/** What keeps a ticket waiting: `first` until that one goes; `any`: until enough of them have gone, of whom it is the first. */
export type Blocked = {by: TicketAhead; wakes: 'this' | 'any'}

/**
 * The admission rule. Undefined: nobody of those ahead keeps a ticket of this mode waiting.
 *
 * | mode | admitted when |
 * |---|---|
 * | exclusive | no ticket is ahead |
 * | shared | only shared tickets are ahead |
 * | slots N | only slots of the same N are ahead, fewer than N |
 *
 * A ticket that waits keeps those behind it waiting, too, if it could not hold beside them: so a writer gets its turn however
 * many readers come. Who was admitted stays so, for tickets ahead can only go.
 *
 * @param ahead all that are ahead, the first one first; of an exclusive ticket the one just ahead is enough
 */
export function blockedBy(mode: Mode, ahead: readonly TicketAhead[]): Blocked | undefined {
  const [first] = ahead
  if (first === undefined) return undefined
  switch (mode.kind) {
    case 'exclusive':
      return {by: ahead.at(-1) ?? first, wakes: 'this'}
    case 'shared': {
      const by = ahead.findLast((ticket) => modeOf(ticket).kind !== 'shared')
      return by && {by, wakes: 'this'}
    }
    case 'slots': {
      // One that counts on another number than those before it is about to go: nobody may count on its place.
      const by = ahead.findLast((ticket) => !isSlotOf(mode, ticket))
      if (by !== undefined) return {by, wakes: 'this'}
      return ahead.length < mode.slots ? undefined : {by: first, wakes: 'any'}
    }
  }
}

/**
 * The first slot of these, if it counts on another number; undefined if it does not. One behind it that does is not heard: it
 * is refused itself, and waited for.
 */
export function otherSlots(
  mode: Mode,
  ahead: readonly TicketAhead[],
): (TicketAhead & {mode: Mode & {kind: 'slots'}}) | undefined {
  if (mode.kind !== 'slots') return undefined
  const first = ahead.find(
    (ticket): ticket is TicketAhead & {mode: Mode & {kind: 'slots'}} => ticket.mode?.kind === 'slots',
  )
  return first?.mode.slots === mode.slots ? undefined : first
}

/**
 * How long a newcomer waits when the last holder vanished. Longer than the slowest deletion-to-empty-tree that was
 * measured (100 ms of unwatched start and 300 ms for the kill), so that a ticket which etcd took away too early, or
 * somebody by hand, costs half a second and not an overlap.
 */
export const settlingMs = 500

/**
 * Whether the tree of somebody who vanished may still be at work where we are about to start.
 *
 * @param vanished how those held that are gone without a clean end
 * @param ahead how many are ahead of us, all of whom hold
 */
export function mustSettle(mode: Mode, vanished: readonly Mode['kind'][], ahead: number): boolean {
  switch (mode.kind) {
    case 'exclusive':
      return vanished.length > 0
    case 'shared':
      return vanished.some((kind) => kind !== 'shared')
    case 'slots':
      return (
        vanished.some((kind) => kind !== 'slots') ||
        (vanished.length > 0 && ahead + vanished.length >= mode.slots)
      )
  }
}

function isSlotOf({slots}: Mode & {kind: 'slots'}, {mode}: TicketAhead): boolean {
  return mode?.kind === 'slots' && mode.slots === slots
}

function modeOf({mode}: TicketAhead): Mode {
  return mode ?? exclusive
}
